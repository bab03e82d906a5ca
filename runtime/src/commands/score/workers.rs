//! Work on many items side by side, taken in their order. What the work is, and how much of the machine it takes, is
//! the caller's business.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread,
};

/// Finished items that wait for the ones before them to be taken, for each worker; more only fill memory.
const WAITING: usize = 4;

/// Gives `take` what `work` makes of each of `count` items, in their order, while every one of `workers` is at work on
/// the next item that is left. The first error of either ends it.
pub fn in_order<W: Send, T: Send>(
    workers: Vec<W>,
    count: usize,
    work: impl Fn(&mut W, usize) -> anyhow::Result<T> + Sync,
    mut take: impl FnMut(usize, T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = sync_channel(WAITING * workers.len());
    thread::scope(|scope| {
        for mut worker in workers {
            let (next, work, sender) = (&next, &work, sender.clone());
            scope.spawn(move || {
                loop {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody receives any more once an error has ended it.
                    if item >= count || sender.send((item, work(&mut worker, item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let receiver = receiver; // dropped on the way out, before the threads are waited for
        let mut early = BTreeMap::new();
        for turn in 0..count {
            let done = loop {
                if let Some(done) = early.remove(&turn) {
                    break done;
                }
                let Ok((item, done)) = receiver.recv() else {
                    anyhow::bail!("a thread of the computation ended early; try --threads 1");
                };
                early.insert(item, done);
            };
            take(turn, done?)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn items_are_taken_in_their_order_whatever_time_they_take() {
        for workers in [1, 3, 8] {
            let mut taken = Vec::new();
            let work = |_: &mut usize, item: usize| {
                thread::sleep(Duration::from_millis([5, 0, 2][item % 3]));
                Ok(10 * item)
            };
            in_order(vec![0; workers], 40, work, |item, done| {
                taken.push((item, done));
                Ok(())
            })
            .unwrap();
            assert_eq!(taken, (0..40).map(|item| (item, 10 * item)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_error_in_the_order_ends_it() {
        let mut taken = 0;
        let work =
            |_: &mut (), item: usize| if item % 10 == 7 { anyhow::bail!("item {item}") } else { Ok(()) };
        let result = in_order(vec![(); 4], 1000, work, |_, ()| {
            taken += 1;
            Ok(())
        });
        assert_eq!((result.unwrap_err().to_string().as_str(), taken), ("item 7", 7));

        let full = |item: usize, _| if item < 5 { Ok(()) } else { anyhow::bail!("full") };
        let result = in_order(vec![(); 4], 1000, |_, item| Ok(item), full);
        assert_eq!(result.unwrap_err().to_string(), "full");
    }

    #[test]
    fn no_items_are_no_work() {
        in_order(vec![(); 2], 0, |_, _| Ok(()), |_, ()| Ok(())).unwrap();
    }
}
