//! What comes before a training: `synth`, `plan` and `preview`.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use sparsight_schemas::{Config, Valid};

use crate::sandbox::{call, error_of, program, with_data};

#[test]
fn synth_writes_a_new_folder_or_nothing() {
    let folder = with_data();
    let masks = fs::read_dir(folder.path().join("data/gear_000/ground_truth")).unwrap().count();
    assert_eq!(masks, 8);
    assert!(error_of(call(&["synth", "data"], folder.path())).contains("data: not empty"));
    assert!(error_of(call(&["synth", "no/such"], folder.path())).contains("no/such"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    call(&["synth", "other", "--size", "7"], folder.path()).code(2);
}

#[cfg(unix)]
#[test]
fn synth_that_is_asked_to_end_ends_within_a_category_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut synth = std::process::Command::new(program().get_program())
        .args(["synth", "data", "--categories", "1", "--size", "64", "--train", "4294967295"])
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    let images = || {
        let temporary = fs::read_dir(folder.path()).unwrap().next()?.unwrap().path();
        fs::read_dir(temporary.join("weave_000/train/good")).ok()?.nth(2)
    };
    let begun = Instant::now();
    while images().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no image was written");
        thread::sleep(Duration::from_millis(5));
    }
    let asked = std::process::Command::new("kill").arg(synth.id().to_string()).status().unwrap();
    assert!(asked.success());
    assert_eq!(synth.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_plan_has_a_valid_config_for_each_family_that_is_left_out() {
    let folder = with_data();
    fs::write(folder.path().join("mine.yaml"), "name: mine\ndata: {roots: [data]}\n").unwrap();
    let plan = ["plan", "mine.yaml", "--leave-out", "family", "-o", "folds"];
    call(&plan, folder.path()).success().stdout("folds/gear.yaml\nfolds/weave.yaml\n");
    let yaml = fs::read_to_string(folder.path().join("folds/gear.yaml")).unwrap();
    let config = Valid::<Config>::parse(&yaml).unwrap();
    assert_eq!(
        (config.name.as_str(), &config.data.exclude[..]),
        ("mine-without-gear", &["gear_000".into()][..])
    );
    assert!(error_of(call(&plan, folder.path())).contains("folds: not empty"));
}

#[test]
fn a_fold_that_leaves_nothing_to_validate_on_is_said() {
    let folder = with_data();
    let three = ["synth", "three", "--categories", "3", "--size", "64", "--train", "3", "--test", "2"];
    call(&three, folder.path()).success();
    let config = "name: mine\ndata: {roots: [three], validation: [gear_000]}\n";
    fs::write(folder.path().join("mine.yaml"), config).unwrap();
    let plan = call(&["plan", "mine.yaml", "-o", "folds"], folder.path()).success();
    let told = String::from_utf8(plan.get_output().stderr.clone()).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.starts_with("gear_000: nothing of data.validation is left"), "{told}");

    // An empty list would include what the config leaves out.
    let config = config.replace("validation", "include: [weave_000], validation");
    fs::write(folder.path().join("mine.yaml"), config).unwrap();
    let error = error_of(call(&["plan", "mine.yaml", "-o", "more"], folder.path()));
    assert!(error.contains("mine.yaml: without weave_000 nothing is left to train on"), "{error}");
    assert!(!folder.path().join("more").exists());

    // What validates is not trained on.
    let config = "data: {roots: [data], validation: [gear_000]}\n";
    fs::write(folder.path().join("mine.yaml"), config).unwrap();
    let error = error_of(call(&["plan", "mine.yaml", "-o", "more"], folder.path()));
    assert!(error.contains("mine.yaml: without weave_000 nothing is left to train on"), "{error}");
}

#[test]
fn a_name_that_no_category_has_is_the_fault_of_the_config_and_a_missing_folder_its_own() {
    let folder = with_data();
    let config = "data: {roots: [data], validation: [nut]}\n";
    fs::write(folder.path().join("mine.yaml"), config).unwrap();
    let commands = [
        &["plan", "mine.yaml", "-o", "folds"][..],
        &["preview", "mine.yaml", "-o", "pictures"],
        &["train", "--config", "mine.yaml", "--output", "run"],
    ];
    for command in commands {
        let error = error_of(call(command, folder.path()));
        assert!(error.starts_with("error: mine.yaml: data: no category is named \"nut\""), "{error}");
        let error = error_of(call(&[command, &["--data", "nowhere"]].concat(), folder.path()));
        assert!(error.starts_with("error: nowhere: no such folder"), "{error}");
    }
}

#[test]
fn a_preview_draws_episodes_negatives_and_the_samplers_steps() {
    let folder = with_data();
    let config = "input: {height: 32, width: 32}\nbackbone: {widths: [8, 8], strides: [1, 1], feature_channels: 8}\n\
        data: {roots: [data]}\nepisodes: {tasks: 2, shots: 3, queries: 2}\nlangevin: {steps: 4}\n";
    fs::write(folder.path().join("mine.yaml"), config).unwrap();
    let preview = ["preview", "mine.yaml", "-o", "pictures"];
    for _ in 0..2 {
        call(&preview, folder.path()).success();
    }
    // Columns by rows: support and queries by tasks; queries by three for each task; two and the steps by queries.
    for (name, columns, rows) in [("episodes", 5, 2), ("negatives", 2, 6), ("langevin", 6, 2)] {
        let image = image::open(folder.path().join(format!("pictures/{name}.png"))).unwrap();
        assert_eq!((image.width(), image.height()), (34 * columns + 2, 34 * rows + 2), "{name}");
    }
    fs::write(folder.path().join("pictures/notes.txt"), "mine").unwrap();
    assert!(
        error_of(call(&preview, folder.path())).contains("is no picture of a preview, and would be lost")
    );
}

#[test]
fn a_preview_wants_the_step_size_that_its_checkpoint_has_learned() {
    let folder = with_data();
    let config = |langevin: &str| {
        format!(
            "input: {{height: 32, width: 32}}\n\
             backbone: {{widths: [8, 8], strides: [1, 1], feature_channels: 8}}\n\
             data: {{roots: [data]}}\nepisodes: {{tasks: 1, shots: 3, queries: 2}}\nlangevin: {{{langevin}}}\n"
        )
    };
    for (name, langevin) in [("fixed", "steps: 1"), ("learned", "steps: 1, relative: true, learned: true")] {
        fs::write(folder.path().join(format!("{name}.yaml")), config(langevin)).unwrap();
        let config = format!("{name}.yaml");
        let run = ["train", "--config", &config, "--steps", "1", "--output", name];
        call(&run, folder.path()).success();
    }
    let preview = |config: &str, run: &str| {
        let (config, checkpoint) = (format!("{config}.yaml"), format!("{run}/checkpoint"));
        call(&["preview", &config, "--checkpoint", &checkpoint, "-o", "pictures"], folder.path())
    };
    preview("learned", "learned").success();
    preview("fixed", "fixed").success();
    assert!(error_of(preview("learned", "fixed")).contains("learned.yaml: its step size"));
    assert!(error_of(preview("fixed", "learned")).contains("fixed.yaml: its step size"));
}
