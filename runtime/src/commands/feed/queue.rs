//! The bounded queue. What waits in it, and why it ends, is the caller's business.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What happens to an item that comes when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WhenFull {
    /// It waits, and so does whoever brings it
    Block,
    /// It takes the place of the one that waited longest, which is counted and never scored
    DropOldest,
}

/// Why nothing comes any more.
#[derive(Debug)]
pub enum End {
    /// There is no more.
    Input,
    /// A signal that asks for an end.
    Signal,
    /// Why no more can be had.
    Failure(anyhow::Error),
}

/// Items on their way from one thread to another.
pub struct Queue<T> {
    capacity: usize,
    when_full: WhenFull,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    brought: u64,
    dropped: u64,
    end: Option<End>,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub fn new(capacity: NonZeroUsize, when_full: WhenFull) -> Self {
        let state = State { waiting: VecDeque::new(), brought: 0, dropped: 0, end: None };
        Self { capacity: capacity.get(), when_full, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Brings an item. False if the queue has ended and did not take it.
    pub fn bring(&self, item: T) -> bool {
        let mut state = self.lock();
        while self.when_full == WhenFull::Block && state.end.is_none() && state.waiting.len() == self.capacity
        {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.end.is_some() {
            return false;
        }
        if state.waiting.len() == self.capacity {
            state.waiting.pop_front();
            state.dropped += 1;
        }
        state.waiting.push_back(item);
        state.brought += 1;
        self.changed.notify_all();
        true
    }

    /// The item that waits longest, as soon as there is one; none when the queue has ended and is empty.
    pub fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.waiting.pop_front() {
                self.changed.notify_all();
                return Some(item);
            }
            if state.end.is_some() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the queue: it takes no more items. The first reason counts.
    pub fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.changed.notify_all();
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Whether a signal has ended it, or does so within this time.
    pub fn is_stopped_within(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |state| state.end.is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        matches!(state.end, Some(End::Signal))
    }

    /// Why it ended, how many items it took, and how many of them it dropped.
    pub fn outcome(&self) -> (End, u64, u64) {
        let mut state = self.lock();
        (state.end.replace(End::Input).unwrap_or(End::Input), state.brought, state.dropped)
    }

    // No code of others runs under the lock, so that the state is whole even if a thread panicked.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn queue(capacity: usize, when_full: WhenFull) -> Queue<usize> {
        Queue::new(NonZeroUsize::new(capacity).unwrap(), when_full)
    }

    fn rest(queue: &Queue<usize>) -> Vec<usize> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn the_oldest_gives_way_and_is_counted() {
        let queue = queue(3, WhenFull::DropOldest);
        assert!((0..10).all(|item| queue.bring(item)));
        queue.end(End::Input);
        assert_eq!(rest(&queue), [7, 8, 9]);
        let (end, brought, dropped) = queue.outcome();
        assert!(matches!(end, End::Input));
        assert_eq!((brought, dropped), (10, 7));
    }

    #[test]
    fn who_brings_to_a_full_queue_waits_and_nothing_is_lost() {
        let queue = queue(2, WhenFull::Block);
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!((0..100).all(|item| queue.bring(item)));
                queue.end(End::Input);
            });
            thread::sleep(Duration::from_millis(30));
            assert_eq!(queue.lock().brought, 2, "two wait, and the third is not let in");
            assert_eq!(rest(&queue), (0..100).collect::<Vec<_>>());
        });
        assert_eq!(queue.outcome().2, 0);
    }

    #[test]
    fn an_end_wakes_who_waits_on_either_side_and_what_waits_is_still_taken() {
        let full = queue(1, WhenFull::Block);
        let empty = queue(1, WhenFull::Block);
        assert!(full.bring(1));
        thread::scope(|scope| {
            let brings = scope.spawn(|| full.bring(2));
            let takes = scope.spawn(|| empty.take());
            thread::sleep(Duration::from_millis(20));
            full.end(End::Signal);
            empty.end(End::Signal);
            full.end(End::Input);
            assert!(!brings.join().unwrap());
            assert_eq!(takes.join().unwrap(), None);
        });
        assert_eq!(rest(&full), [1]);
        assert!(full.has_ended() && !full.bring(3));
        assert!(matches!(full.outcome(), (End::Signal, 1, 0)), "the first reason counts");
    }
}
