//! `stream` and `watch`: images that keep coming, and how it ends.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
};

use image::RgbImage;
use sparsight_schemas::ScoreRecord;

use crate::sandbox::{Sandbox, bundle, failure, names, sparsight, texture};

/// A command at work, whose records are read as they come.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    records: BufReader<ChildStdout>,
}

/// What a command said until its end.
struct Ended {
    code: Option<i32>,
    records: Vec<ScoreRecord>,
    stderr: String,
}

impl Running {
    fn start(sandbox: &Sandbox, command: &str, arguments: &[&str]) -> Self {
        let mut program = Command::new(sparsight(command).get_program());
        program.args([command, "--provider", "cpu", "--threads", "1"]).arg(bundle());
        program.arg(sandbox.dictionary()).args(arguments);
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        crate::sandbox::with_default_signals(&mut program);
        let mut child = program.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, stdin, records: BufReader::new(stdout) }
    }

    /// Writes to its stdin, which it must take.
    fn send(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Waits for its next record.
    fn record(&mut self) -> ScoreRecord {
        let mut line = String::new();
        self.records.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Resident memory in MiB, none where the system does not say.
    fn memory(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.to_owned();
        Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
    }

    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Closes its stdin and waits for its end.
    fn end(mut self) -> Ended {
        drop(self.stdin.take());
        let mut rest = String::new();
        self.records.read_to_string(&mut rest).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Ended {
            code: output.status.code(),
            records: rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// How many frames the long runs have: few, unless SPARSIGHT_FRAMES asks for more.
fn frame_count() -> usize {
    std::env::var("SPARSIGHT_FRAMES").map_or(400, |count| count.parse().unwrap())
}

fn file(image: RgbImage, name: &str) -> Vec<u8> {
    let sandbox = Sandbox::new();
    fs::read(sandbox.image(name, image)).unwrap()
}

#[test]
fn raw_frames_score_as_the_same_image_in_a_file_does() {
    let sandbox = Sandbox::new();
    let images = [texture(50, 40, 1), texture(50, 40, 2)];
    let mut stream = Running::start(&sandbox, "stream", &["--size", "50x40", "--boxes"]);
    images.iter().for_each(|image| stream.send(image));
    let ended = stream.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    names(&ended.stderr, &["2 frames came, 2 scored", "0 failed, 0 dropped", "end of input"]);
    for (i, (image, record)) in images.into_iter().zip(&ended.records).enumerate() {
        assert_eq!(record.image, format!("frame {i}"));
        assert!(record.regions.is_some());
        let alone = sandbox.anomaly_score(&sandbox.image("one.png", image));
        let score = record.anomaly_score.unwrap();
        assert!((score - alone).abs() <= 1e-4 * alone, "{score} {alone}");
    }
}

#[test]
fn png_and_jpeg_files_follow_each_other_and_each_is_told_before_the_next_comes() {
    let sandbox = Sandbox::new();
    let mut stream = Running::start(&sandbox, "stream", &[]);
    for (i, name) in ["a.png", "b.jpg", "c.png"].into_iter().enumerate() {
        stream.send(&file(texture(40, 30, i as u32), name));
        let record = stream.record();
        assert_eq!(record.image, format!("frame {i}"));
        assert!(record.anomaly_score.is_some());
    }
    assert_eq!(stream.end().code, Some(0));
}

#[test]
fn a_frame_that_cannot_be_decoded_is_reported_and_the_next_one_is_scored() {
    let sandbox = Sandbox::new();
    let mut spoilt = file(texture(40, 30, 1), "a.png");
    let middle = spoilt.len() / 2;
    spoilt[middle] ^= 0xFF;
    let mut stream = Running::start(&sandbox, "stream", &[]);
    stream.send(&spoilt);
    stream.send(&file(texture(40, 30, 2), "a.png"));
    let ended = stream.end();
    assert_eq!(ended.code, Some(1));
    assert!(ended.records[0].error.is_some() && ended.records[1].error.is_none());
    names(&ended.stderr, &["1 scored", "1 failed", "error: 1 of 2 frames could not be scored", "frame 0"]);
}

#[test]
fn a_stream_that_breaks_off_or_is_something_else_says_so_after_what_it_scored() {
    let sandbox = Sandbox::new();
    let mut stream = Running::start(&sandbox, "stream", &["--size", "8x8"]);
    stream.send(&[9; 3 * 64 + 100]);
    let ended = stream.end();
    assert_eq!((ended.code, ended.records.len()), (Some(1), 1));
    names(&ended.stderr, &["1 frames came, 1 scored", "error: stdin, frame 1", "ends after 100 bytes"]);
    let mut stream = Running::start(&sandbox, "stream", &[]);
    stream.send(b"this is text, and no image at all");
    let ended = stream.end();
    assert_eq!(ended.code, Some(1));
    names(&ended.stderr, &["error: stdin, frame 0", "neither PNG nor JPEG", "--size"]);
}

#[test]
fn a_long_stream_loses_nothing_and_takes_no_more_memory_than_a_short_one() {
    let sandbox = Sandbox::new();
    let mut stream = Running::start(&sandbox, "stream", &["--size", "64x48"]);
    let (count, mut stdin) = (frame_count(), stream.stdin.take().unwrap());
    let sender = thread::spawn(move || {
        let frames: Vec<RgbImage> = (0..10).map(|seed| texture(64, 48, seed)).collect();
        (0..count).for_each(|i| stdin.write_all(&frames[i % 10]).unwrap());
    });
    let mut early = None;
    for i in 0..count {
        assert_eq!(stream.record().image, format!("frame {i}"));
        if i == 100 {
            early = stream.memory();
        }
    }
    let late = stream.memory();
    sender.join().unwrap();
    let ended = stream.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    names(&ended.stderr, &[&format!("{count} frames came, {count} scored"), "0 dropped"]);
    // The last record may be out when the process is gone already.
    if let (Some(early), Some(late)) = (early, late) {
        eprintln!("stream: {early:.1} MiB after 100 frames, {late:.1} MiB after {count}");
        assert!(late < early + 4.0, "{early:.1} MiB grew to {late:.1} MiB");
    }
}

#[test]
fn frames_that_come_too_fast_are_dropped_where_asked_for_and_counted() {
    let sandbox = Sandbox::new();
    let arguments = ["--size", "64x48", "--when-full", "drop-oldest", "--queue", "1"];
    let mut stream = Running::start(&sandbox, "stream", &arguments);
    let frames: Vec<u8> = texture(64, 48, 1).repeat(300);
    stream.send(&frames);
    let ended = stream.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let numbers: Vec<usize> =
        ended.records.iter().map(|record| record.image["frame ".len()..].parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    assert_eq!(numbers.last(), Some(&299), "the newest is never dropped");
    let (scored, dropped) = (numbers.len(), 300 - numbers.len());
    names(&ended.stderr, &[&format!("300 frames came, {scored} scored"), &format!("{dropped} dropped")]);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_either_command_cleanly_with_a_summary() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("camera")).unwrap();
    let camera = sandbox.path("camera");
    for signal in ["INT", "TERM"] {
        let mut stream = Running::start(&sandbox, "stream", &["--size", "8x8"]);
        stream.send(&[9; 3 * 64]);
        stream.record();
        // Its stdin stays open: only the signal can end it.
        let stdin = stream.stdin.take();
        stream.signal(signal);
        let ended = stream.end();
        drop(stdin);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        names(&ended.stderr, &["1 frames came, 1 scored", "stopped by a signal"]);

        let arguments = [camera.to_str().unwrap(), "--existing", "--settle", "0"];
        sandbox.image("camera/a.png", texture(40, 30, 1));
        let mut watch = Running::start(&sandbox, "watch", &arguments);
        watch.record();
        watch.signal(signal);
        let ended = watch.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        names(&ended.stderr, &["1 images came, 1 scored", "stopped by a signal"]);
    }
}

#[cfg(unix)]
#[test]
fn an_image_that_failed_long_ago_does_not_spoil_a_clean_end() {
    let sandbox = Sandbox::new();
    let mut watch = watch(&sandbox, "0");
    sandbox.write("camera/.part", b"no image");
    fs::rename(sandbox.path("camera/.part"), sandbox.path("camera/spoilt.png")).unwrap();
    assert!(watch.record().error.is_some());
    let ended = stop(watch);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    names(&ended.stderr, &["1 failed", "stopped by a signal"]);
}

/// A stream whose records nobody reads any more, after the first.
fn without_reader(sandbox: &Sandbox) -> (Child, ChildStdin) {
    let mut stream = Running::start(sandbox, "stream", &["--size", "8x8"]);
    stream.send(&[9; 3 * 64]);
    stream.record();
    (stream.child, stream.stdin.unwrap())
}

#[test]
fn a_command_whose_records_nobody_reads_any_more_fails() {
    let sandbox = Sandbox::new();
    let (mut child, mut stdin) = without_reader(&sandbox);
    let _ = stdin.write_all(&[9; 3 * 64]);
    drop(stdin);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{stderr}");
    names(&stderr, &["error: stdout: "]);
}

#[cfg(unix)]
#[test]
fn a_signal_that_ends_the_reader_too_is_a_clean_end() {
    let sandbox = Sandbox::new();
    let (mut child, mut stdin) = without_reader(&sandbox); // the last one of a pipeline may go first
    let _ = stdin.write_all(&[9; 5 * 3 * 64]);
    let sent = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    names(&stderr, &["stopped by a signal"]);
}

/// Ends a watch, by a signal where there are any.
fn stop(mut watch: Running) -> Ended {
    #[cfg(unix)]
    watch.signal("TERM");
    #[cfg(not(unix))]
    watch.child.kill().unwrap();
    watch.stdin = None;
    watch.end()
}

/// A watch over `camera/` that has begun to look.
fn watch(sandbox: &Sandbox, settle: &str) -> Running {
    let folder = sandbox.path("camera");
    sandbox.image("camera/first.png", texture(20, 20, 0));
    let arguments = [folder.to_str().unwrap(), "--existing", "--settle", settle, "--every", "0.02"];
    let mut watch = Running::start(sandbox, "watch", &arguments);
    names(&watch.record().image, &["first.png"]);
    watch
}

#[test]
fn a_new_file_is_scored_once_it_is_whole_and_again_when_it_is_replaced() {
    let sandbox = Sandbox::new();
    let mut watch = watch(&sandbox, "0.4");
    let bytes = file(texture(40, 30, 3), "a.png");
    let (path, slices) = (sandbox.path("camera/a.png"), bytes.chunks(bytes.len().div_ceil(4)));
    let mut written = fs::File::create(&path).unwrap();
    for slice in slices {
        written.write_all(slice).unwrap();
        thread::sleep(std::time::Duration::from_millis(100));
    }
    let record = watch.record();
    assert_eq!((record.image.as_str(), record.error), (path.to_str().unwrap(), None));

    let part = sandbox.write("camera/.a.png.part", &file(texture(40, 30, 4), "b.png"));
    fs::rename(part, &path).unwrap();
    sandbox.write("camera/notes.txt", b"no image");
    let again = watch.record();
    assert_eq!((again.image.as_str(), again.error), (path.to_str().unwrap(), None));
    assert_ne!(again.anomaly_score, record.anomaly_score);
    let ended = stop(watch);
    assert_eq!(ended.records, []);
}

#[test]
fn a_folder_that_is_filled_and_emptied_for_long_takes_no_more_memory() {
    let sandbox = Sandbox::new();
    let mut watch = watch(&sandbox, "0");
    let frames: Vec<Vec<u8>> = (0..10).map(|seed| file(texture(32, 24, seed), "a.png")).collect();
    let (count, mut early) = (frame_count(), None);
    for i in 0..count {
        let part = sandbox.write("camera/.part", &frames[i % 10]);
        fs::rename(part, sandbox.path(&format!("camera/{i}.png"))).unwrap();
        // As many as may wait, then those are taken away.
        if i % 8 == 7 {
            for _ in 0..8 {
                let record = watch.record();
                assert_eq!(record.error, None);
                fs::remove_file(&record.image).unwrap();
            }
        }
        if i == 103 {
            early = watch.memory();
        }
    }
    let late = watch.memory();
    if let (Some(early), Some(late)) = (early, late) {
        eprintln!("watch: {early:.1} MiB after 100 images, {late:.1} MiB after {count}");
        assert!(late < early + 4.0, "{early:.1} MiB grew to {late:.1} MiB");
    }
    stop(watch);
}

#[test]
fn what_was_there_before_is_scored_only_where_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.image("camera/old.png", texture(20, 20, 0));
    let folder = sandbox.path("camera");
    let arguments = [folder.to_str().unwrap(), "--settle", "0", "--every", "0.02"];
    let mut watch = Running::start(&sandbox, "watch", &arguments);
    // From this line on, what comes is new.
    let (mut stderr, mut line) = (BufReader::new(watch.child.stderr.take().unwrap()), String::new());
    stderr.read_line(&mut line).unwrap();
    names(&line, &["watching", "camera"]);
    sandbox.image("camera/.new.png", texture(20, 20, 1));
    fs::rename(folder.join(".new.png"), folder.join("new.png")).unwrap();
    assert_eq!(Path::new(&watch.record().image), folder.join("new.png"));
    assert_eq!(stop(watch).records, []);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    let mut watch = sparsight("watch");
    let line = failure(watch.arg(bundle()).arg(sandbox.dictionary()).arg("nowhere"), 1);
    names(&line, &["nowhere: no such folder"]);
}
