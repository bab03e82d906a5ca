//! What episodes promise, on images of one grey each, which say where they come from.

use std::collections::BTreeSet;

use super::*;
use crate::categories::read_categories;
use sparsight_schemas::DataConfig;

const INPUT: InputConfig =
    InputConfig { height: 16, width: 24, resize: sparsight_schemas::ResizeFilter::Bilinear };

/// Categories `a`, `b`, ... of as many images as given; every image is of one grey of its own.
fn sampler(
    counts: &[usize],
    episodes: EpisodeConfig,
    seed: u64,
) -> Result<(EpisodeSampler, tempfile::TempDir), EpisodeError> {
    let root = tempfile::tempdir().unwrap();
    let mut grey = 0;
    for (name, count) in ('a'..).zip(counts) {
        let folder = root.path().join(format!("{name}/train/good"));
        std::fs::create_dir_all(&folder).unwrap();
        for i in 0..*count {
            grey += 1;
            let image =
                image::RgbImage::from_pixel(INPUT.width as u32, INPUT.height as u32, [grey; 3].into());
            image.save(folder.join(format!("{i:03}.png"))).unwrap();
        }
    }
    let roots = vec![root.path().display().to_string()];
    let categories = read_categories(&DataConfig { roots, ..DataConfig::default() }).unwrap();
    let config = Config { input: INPUT, episodes, seed, ..Config::default() };
    Ok((EpisodeSampler::new(categories, &config)?, root))
}

fn counts(tasks: usize, shots: usize, queries: usize) -> EpisodeConfig {
    EpisodeConfig { tasks, shots, queries, ..EpisodeConfig::default() }
}

/// The greys of a batch, which say which images it is made of.
fn greys(batch: &Array4<f32>) -> Vec<u8> {
    batch.outer_iter().map(|image| (image[[0, 0, 0]] * 255.0).round() as u8).collect()
}

#[test]
fn an_episode_has_the_configured_shapes_and_values_of_its_images() {
    let (sampler, _folder) = sampler(&[8, 8], counts(3, 4, 2), 0).unwrap();
    let episodes = sampler.episodes(0).unwrap();
    assert_eq!(episodes.len(), 3);
    for episode in episodes {
        assert_eq!(episode.support.dim(), (4, 3, 16, 24));
        assert_eq!(episode.positives.dim(), (2, 3, 16, 24));
        assert_eq!(episode.negatives.dim(), (2, 3, 16, 24));
        assert_eq!(episode.masks.dim(), (2, 16, 24));
        let first = greys(&episode.positives)[0];
        assert!(episode.positives.index_axis(Axis(0), 0).iter().all(|v| *v == f32::from(first) / 255.0));
        for ((i, y, x), mask) in episode.masks.indexed_iter() {
            let same = (0..3).all(|c| episode.positives[[i, c, y, x]] == episode.negatives[[i, c, y, x]]);
            assert_eq!(*mask == 0.0, same);
        }
    }
}

#[test]
fn no_query_is_in_the_support_and_no_shot_is_drawn_twice() {
    let (sampler, _folder) = sampler(&[7, 30], counts(2, 5, 6), 1).unwrap();
    for step in 0..50 {
        for episode in sampler.episodes(step).unwrap() {
            let support: BTreeSet<u8> = greys(&episode.support).into_iter().collect();
            let queries: BTreeSet<u8> = greys(&episode.positives).into_iter().collect();
            assert_eq!(support.len(), 5);
            assert!(support.is_disjoint(&queries));
            // `a` has two images left for six queries, `b` has enough.
            assert_eq!(queries.len() == 6, episode.category == "b");
        }
    }
}

#[test]
fn every_category_and_every_image_takes_its_turn() {
    let (sampler, _folder) = sampler(&[3, 3, 3, 3, 3], counts(5, 1, 1), 2).unwrap();
    let mut queried = BTreeSet::new();
    for step in 0..100 {
        let episodes = sampler.episodes(step).unwrap();
        let names: BTreeSet<&str> = episodes.iter().map(|episode| episode.category.as_str()).collect();
        assert_eq!(names.len(), 5);
        queried.extend(episodes.iter().flat_map(|episode| greys(&episode.positives)));
    }
    assert_eq!(queried.len(), 15);
}

#[test]
fn a_step_depends_on_the_seed_and_its_number_alone() {
    let config = counts(2, 2, 2);
    let ((first, _here), (again, _there)) =
        (sampler(&[6, 6], config, 3).unwrap(), sampler(&[6, 6], config, 3).unwrap());
    first.episodes(0).unwrap();
    let drawn = first.episodes(7).unwrap();
    assert_eq!(drawn, again.episodes(7).unwrap());
    assert_ne!(drawn, first.episodes(8).unwrap());
    let (other, _elsewhere) = sampler(&[6, 6], config, 4).unwrap();
    assert_ne!(drawn, other.episodes(7).unwrap());
    assert_eq!(drawn[0].noise.len(), LangevinConfig::default().steps);
    assert_ne!(drawn[0].noise[0], drawn[0].noise[1]);
    assert_ne!(drawn[0].noise[0], drawn[1].noise[0]);
}

#[test]
fn drawing_ahead_on_any_number_of_threads_gives_the_same_episodes() {
    let (sampler, _folder) = sampler(&[6, 6, 6], counts(2, 2, 2), 5).unwrap();
    let expected: Vec<_> = (3..10).map(|step| sampler.episodes(step).unwrap()).collect();
    for threads in [1, 2, 3, 9] {
        let drawn: Vec<_> = std::thread::scope(|scope| {
            Ahead::start(scope, &sampler, 3..10, threads).map(Result::unwrap).collect()
        });
        assert!(drawn == expected, "{threads} threads");
    }
}

#[test]
fn an_image_that_cant_be_read_is_said_when_it_is_drawn() {
    let (sampler, folder) = sampler(&[3], counts(1, 2, 1), 0).unwrap();
    std::fs::write(folder.path().join("a/train/good/001.png"), "no image").unwrap();
    let error = (0..50).find_map(|step| sampler.episodes(step).err()).unwrap();
    assert!(error.to_string().contains("001.png"), "{error}");
}

#[test]
fn a_run_that_draws_more_than_there_is_decodes_all_before_it_begins() {
    let (sampler, folder) = sampler(&[4, 4], counts(1, 1, 1), 0).unwrap();
    let never = AtomicBool::new(false);
    let last = folder.path().join("b/train/good/003.png");
    let image = std::fs::read(&last).unwrap();
    std::fs::write(&last, &image[..image.len() / 2]).unwrap();
    sampler.decode_for(4, &never).unwrap();
    let message = sampler.decode_for(5, &never).unwrap_err().to_string();
    assert!(message.contains("b/train/good/003.png"), "{message}");
    sampler.decode_for(5, &AtomicBool::new(true)).expect("nothing is read any more");

    std::fs::write(&last, image).unwrap();
    sampler.decode_for(5, &never).unwrap();
    drop(folder);
    sampler.episodes(0).expect("no image is read again");
}

#[test]
fn anomalies_take_the_place_of_spoilt_queries_with_their_own_masks() {
    let (mut sampler, folder) = sampler(&[4], counts(1, 2, 2), 0).unwrap();
    let root = folder.path().join("a");
    // What is marked need not be white.
    for (path, value) in [("test/crack/0.png", 200), ("ground_truth/crack/0_mask.png", 1)] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let half = |x: u32| if x < 12 || value == 200 { value } else { 0 };
        image::RgbImage::from_fn(24, 16, |x, _| [half(x); 3].into()).save(path).unwrap();
    }
    let roots = vec![folder.path().display().to_string()];
    let categories = read_categories(&DataConfig { roots, ..DataConfig::default() }).unwrap();
    sampler.categories = categories.into_iter().map(DecodedCategory::new).collect();
    sampler.negatives.anomalies = 1.0;
    let episode = sampler.episodes(0).unwrap().remove(0);
    assert_eq!(greys(&episode.negatives), [200, 200]);
    for ((_, _, x), mask) in episode.masks.indexed_iter() {
        assert_eq!(*mask, if x < 12 { 1.0 } else { 0.0 });
    }
}

#[test]
fn a_category_too_small_for_the_shots_is_named() {
    let error = sampler(&[9, 5], counts(1, 5, 1), 0).unwrap_err();
    assert!(error.to_string().starts_with("b: 5 good training images, too few for 5 shots and a query"));
}
