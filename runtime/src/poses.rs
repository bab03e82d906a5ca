//! A shot in other poses: its pixels turned by right angles and mirrored, which moves them and changes none. Which poses
//! there are is [`Poses`]' business.

use ndarray::{ArrayView3, Axis};
use sparsight_schemas::Poses;

/// An image \[c, h, w\] in each of `poses`, the first as it is. Where a pose turns it, its height must be its width.
pub fn in_poses(image: ArrayView3<'_, f32>, poses: Poses) -> impl Iterator<Item = ArrayView3<'_, f32>> {
    // Of the eight symmetries of a square: whether its axes change places, then which of them are turned around.
    let all = (0..8).map(|pose| (pose & 4 != 0, pose & 2 != 0, pose & 1 != 0));
    let wanted = all.filter(move |(exchanged, y, x)| match poses {
        Poses::AsTaken => !exchanged && !y && !x,
        Poses::Flips => !exchanged,
        Poses::Rotations => *exchanged == (y != x),
        Poses::All => true,
    });
    wanted.map(move |(exchanged, y, x)| {
        let mut posed = image;
        if exchanged {
            posed.swap_axes(1, 2);
        }
        for (axis, reversed) in [(1, y), (2, x)] {
            if reversed {
                posed.invert_axis(Axis(axis));
            }
        }
        posed
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ndarray::{Array3, array};

    use super::*;

    const EVERY: [Poses; 4] = [Poses::AsTaken, Poses::Flips, Poses::Rotations, Poses::All];

    fn images(poses: Poses) -> Vec<Array3<f32>> {
        in_poses(array![[[1.0, 2.0], [3.0, 4.0]]].view(), poses).map(|image| image.to_owned()).collect()
    }

    #[test]
    fn every_pose_is_there_once_and_the_first_is_as_taken() {
        for poses in EVERY {
            let images = images(poses);
            assert_eq!(images[0], array![[[1.0, 2.0], [3.0, 4.0]]]);
            let different: HashSet<String> = images.iter().map(|image| format!("{image}")).collect();
            assert_eq!((images.len(), different.len()), (poses.count(), poses.count()), "{poses:?}");
        }
    }

    #[test]
    fn rotations_are_those_by_right_angles() {
        let expected = [
            array![[[1.0, 2.0], [3.0, 4.0]]],
            array![[[4.0, 3.0], [2.0, 1.0]]],
            array![[[3.0, 1.0], [4.0, 2.0]]], // clockwise
            array![[[2.0, 4.0], [1.0, 3.0]]],
        ];
        let rotated = images(Poses::Rotations);
        assert!(expected.iter().all(|image| rotated.contains(image)), "{rotated:?}");
    }

    #[test]
    fn the_poses_of_a_pose_are_the_same_ones() {
        for poses in EVERY {
            let all = images(poses);
            for image in &all {
                assert!(
                    in_poses(image.view(), poses).all(|again| all.contains(&again.to_owned())),
                    "{poses:?}"
                );
            }
        }
    }

    #[test]
    fn no_pose_that_turns_is_among_flips() {
        let wide = Array3::<f32>::zeros((3, 2, 5));
        assert!(!Poses::Flips.turn());
        assert!(in_poses(wide.view(), Poses::Flips).all(|image| image.dim() == (3, 2, 5)));
    }
}
