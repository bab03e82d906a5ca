//! Results that can't be written, or must not be.

use std::{fs, path::Path};

use crate::sandbox::{Sandbox, bundle, failure, names, one_line, sparsight, texture};

#[test]
fn results_that_cannot_be_written_are_named_and_leave_nothing() {
    let sandbox = Sandbox::new();
    let file = sandbox.dictionary();
    let good = sandbox.path("good");
    let before = sandbox.entries();
    // Below a file, and in a folder that is not there: refused to every user, root included.
    for (path, part) in [(file.join("below"), "does not exist"), (sandbox.path("no/such"), "does not exist")]
    {
        let named = path.to_str().unwrap().to_owned();
        let mut adapt = sparsight("adapt");
        names(&failure(adapt.arg(bundle()).arg(&good).arg("-o").arg(&path), 1), &[&named, part]);
        names(&failure(sandbox.score().arg(&good).arg("-o").arg(&path), 1), &[&named, part]);
    }
    names(&failure(sandbox.score().arg(&good).arg("-o").arg(&good), 1), &["is a folder, not a file"]);
    for flag in ["--heatmaps", "--save-maps"] {
        let assert = sandbox.score().arg(&good).arg(flag).arg(file.join("below")).assert().code(1);
        names(&one_line(&assert.get_output().stderr), &["can't be made a folder"]);
    }
    assert_eq!(sandbox.entries(), before);
}

#[test]
fn no_result_replaces_a_file_that_its_command_reads() {
    let sandbox = Sandbox::new();
    let (dictionary, own) = (sandbox.dictionary(), sandbox.bundle());
    let (good, manifest) = (sandbox.path("good"), own.join("manifest.yaml"));
    let mask = sandbox.image("mask.png", texture(40, 30, 1));
    let before =
        sandbox.entries().iter().map(|name| fs::read(sandbox.path(name)).unwrap()).collect::<Vec<_>>();
    for flag in ["-o", "--html"] {
        for file in [&dictionary, &manifest] {
            let mut score = sparsight("score");
            let score = score.arg(&own).arg(&dictionary).arg(&good).arg(flag).arg(file);
            names(&failure(score, 1), &["is what this command reads", "write elsewhere"]);
        }
    }
    for file in [&manifest, &mask] {
        let mut adapt = sparsight("adapt");
        let adapt = adapt.arg(&own).arg(&good).arg("--roi").arg(&mask).arg("-o").arg(file);
        names(&failure(adapt, 1), &["is what this command reads"]);
    }
    let mut calibrate = sparsight("calibrate");
    names(
        &failure(calibrate.arg(&own).arg(&dictionary).arg("-o").arg(&manifest), 1),
        &["is what this command reads"],
    );
    let mut merge = sparsight("dictionary");
    let merge = merge.arg("merge").arg(&own).args([&dictionary, &dictionary]).arg("-o").arg(&manifest);
    names(&failure(merge, 1), &["is what this command reads"]);
    let after =
        sandbox.entries().iter().map(|name| fs::read(sandbox.path(name)).unwrap()).collect::<Vec<_>>();
    assert_eq!(before, after);
}

#[cfg(target_os = "linux")]
#[test]
fn no_permission_to_write_is_said_before_anything_is_scored() {
    let sandbox = Sandbox::new();
    let good = sandbox.good_images();
    // Not even root may make files there.
    let forbidden = Path::new("/proc/self/scores.json");
    names(
        &failure(sandbox.score().arg(&good).arg("-o").arg(forbidden), 1),
        &["/proc/self/scores.json: can't be written"],
    );
    let mut adapt = sparsight("adapt");
    names(&failure(adapt.arg(bundle()).arg(&good).arg("-o").arg(forbidden), 1), &["/proc/self/scores.json"]);
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let good = sandbox.good_images();
    fs::create_dir(sandbox.path("locked")).unwrap();
    fs::set_permissions(sandbox.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(sandbox.path("locked/probe"), b"").is_ok() {
        fs::remove_file(sandbox.path("locked/probe")).unwrap();
        eprintln!("skipped: this user writes to read-only folders");
        return;
    }
    let mut adapt = sparsight("adapt");
    let line = failure(adapt.arg(bundle()).arg(&good).arg("-o").arg(sandbox.path("locked/new")), 1);
    names(&line, &["locked/new: can't be written", "allow writing"]);
}

#[test]
fn images_that_would_share_a_file_are_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    let dictionary = sandbox.dictionary();
    let (one, two) = (sandbox.image("x/1.png", texture(9, 9, 1)), sandbox.image("y/1.png", texture(9, 9, 2)));
    let before = sandbox.entries();
    let mut score = sandbox.score();
    score.args([&one, &two]).arg("--heatmaps").arg(sandbox.path("heatmaps"));
    names(&failure(&mut score, 1), &["would hold the results of both", "1.png"]);
    assert_eq!(sandbox.entries(), before);
    assert!(dictionary.exists());
}

#[test]
fn images_that_differ_in_their_extension_alone_keep_it() {
    let sandbox = Sandbox::new();
    for name in ["x/1.png", "x/1.bmp", "x/2.png"] {
        sandbox.image(name, texture(9, 9, 3));
    }
    let maps = sandbox.path("maps");
    sandbox.score().arg(sandbox.path("x")).arg("--save-maps").arg(&maps).assert().success();
    let entries = sandbox.entries();
    let found: Vec<&str> = entries.iter().filter_map(|name| name.strip_prefix("maps/")).collect();
    assert_eq!(found, ["1.bmp.npy", "1.png.npy", "2.npy"]);
}

#[test]
fn no_result_replaces_an_image() {
    let sandbox = Sandbox::new();
    sandbox.dictionary();
    let good = sandbox.path("good");
    let image = good.join("000.png");
    let before = fs::read(&image).unwrap();
    names(&failure(sandbox.score().arg(&good).arg("--heatmaps").arg(&good), 1), &["is one of the images"]);
    names(&failure(sandbox.score().arg(&good).arg("-o").arg(&image), 1), &["is one of the images"]);
    let mut adapt = sparsight("adapt");
    names(&failure(adapt.arg(bundle()).arg(&good).arg("-o").arg(&image), 1), &["is one of the images"]);
    assert_eq!(fs::read(&image).unwrap(), before);
}

#[test]
fn a_page_holds_every_record_and_its_pictures_and_is_there_only_when_it_is_whole() {
    let sandbox = Sandbox::new();
    sandbox.dictionary();
    sandbox.image("new/large.png", texture(600, 300, 1));
    sandbox.image("new/small.png", texture(20, 30, 2));
    sandbox.write("new/text.png", b"this is text");
    let page = sandbox.write("page.html", b"old");
    let mut score = sandbox.score();
    let assert = score.arg(sandbox.path("new")).arg("--html").arg(&page).assert().code(1);
    names(&one_line(&assert.get_output().stderr), &["1 of 3 images"]);
    let html = fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("<tr class=").count(), 3);
    assert_eq!(html.matches("src=\"data:image/jpeg;base64,").count(), 4);
    names(
        &html,
        &["width=\"224\" height=\"112\"", "width=\"20\" height=\"30\"", "<tr class=\"failed\"", "</html>"],
    );
    assert_eq!(sandbox.entries().iter().filter(|name| name.contains("page")).count(), 1);

    let image = sandbox.path("new/small.png");
    names(&failure(sandbox.score().arg(&image).arg("--html").arg(&image), 1), &["is one of the images"]);
}

#[test]
fn no_two_results_share_a_file_whatever_it_is_called() {
    let sandbox = Sandbox::new();
    sandbox.dictionary();
    let image = sandbox.image("new/000.png", texture(64, 64, 1));
    let page = sandbox.write("out/page", b"old");
    let called = [page.clone(), sandbox.path("out/../out/./page"), sandbox.path("link")];
    #[cfg(unix)]
    std::os::unix::fs::symlink("out/page", &called[2]).unwrap();
    for other in called.iter().filter(|other| other.exists()) {
        let mut both = sandbox.score();
        both.arg(&image).arg("--html").arg(&page).arg("-o").arg(other);
        names(&failure(&mut both, 1), &["page: would hold two results; give each a file of its own"]);
    }
    assert_eq!(fs::read(&page).unwrap(), b"old");
    let mut picture = sandbox.score();
    picture.arg(&image).arg("--heatmaps").arg(sandbox.path("out")).arg("-o").arg(sandbox.path("out/000.png"));
    names(&failure(&mut picture, 1), &["000.png: would hold two results"]);

    #[cfg(unix)]
    {
        sandbox.image("new/001.png", texture(64, 64, 2));
        for name in ["000.png", "001.png"] {
            std::os::unix::fs::symlink("page", sandbox.path("out").join(name)).unwrap();
        }
        let mut pictures = sandbox.score();
        pictures.arg(sandbox.path("new")).arg("--heatmaps").arg(sandbox.path("out"));
        names(&failure(&mut pictures, 1), &["001.png: would hold two results"]);
        // The same image twice is one result.
        fs::remove_file(sandbox.path("out/001.png")).unwrap();
        let mut twice = sandbox.score();
        twice.args([&image, &image]).arg("--heatmaps").arg(sandbox.path("out")).assert().success();
    }
}

#[cfg(unix)]
#[test]
fn a_result_may_go_to_a_pipe() {
    let sandbox = Sandbox::new();
    sandbox.dictionary();
    let image = sandbox.image("000.png", texture(64, 64, 1));
    let mut score = sandbox.score();
    let done = score.arg(&image).args(["--format", "jsonl", "-o", "/dev/stdout"]).assert().success();
    names(&String::from_utf8_lossy(&done.get_output().stdout), &["000.png", "anomaly_score"]);
}

#[cfg(unix)]
#[test]
fn what_replaces_a_file_has_its_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let good = sandbox.good_images();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for private in [0o600, 0o640, 0o444] {
        let scores = sandbox.write("scores.json", b"old");
        fs::set_permissions(&scores, fs::Permissions::from_mode(private)).unwrap();
        sandbox.score().arg(&good).arg("-o").arg(&scores).assert().success();
        assert_eq!(mode(&scores), private);
        fs::remove_file(scores).unwrap();
    }
}

#[test]
fn a_dictionary_in_the_folder_of_its_bundle_can_be_changed_and_the_bundle_itself_can_not() {
    let sandbox = Sandbox::new();
    let (bundle, good) = (sandbox.bundle(), sandbox.good_images());
    let adapt = |output: &Path| {
        let mut adapt = sparsight("adapt");
        adapt.arg(&bundle).arg(&good).arg("-o").arg(output);
        adapt
    };
    let dictionary = bundle.join("good.dictionary");
    adapt(&dictionary).assert().success();
    adapt(&dictionary).assert().success();
    sparsight("calibrate")
        .arg(&bundle)
        .arg(&dictionary)
        .args(["--false-alarm-rate", "0.3"])
        .assert()
        .success();
    for part in ["manifest.yaml", "backbone.onnx", "probe.safetensors"] {
        let line = failure(&mut adapt(&bundle.join(part)), 1);
        names(&line, &[part, "is what this command reads"]);
    }
    sparsight("verify").arg(&bundle).assert().success();
}
