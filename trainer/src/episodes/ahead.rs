//! Draws the episodes of coming steps on other threads while a step is computed. What is drawn depends on the step
//! alone, so how many threads there are changes nothing but the waiting.

use std::{
    ops::Range,
    sync::mpsc::{Receiver, sync_channel},
    thread::Scope,
};

use super::{Episode, EpisodeError, EpisodeSampler};

/// The episodes of each step, in order. Dropping it ends its threads.
#[derive(Debug)]
pub struct Ahead {
    /// One for each thread; steps take turns.
    drawn: Vec<Receiver<Result<Vec<Episode>, EpisodeError>>>,
    turn: usize,
}

impl Ahead {
    /// Starts to draw the episodes of `steps` on so many `threads`, each at most two steps ahead.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        sampler: &'scope EpisodeSampler,
        steps: Range<usize>,
        threads: usize,
    ) -> Self {
        let thread = |first: usize| {
            let (sender, receiver) = sync_channel(1);
            let mut own_steps = steps.clone().skip(first).step_by(threads);
            scope.spawn(move || own_steps.try_for_each(|step| sender.send(sampler.episodes(step as u64))));
            receiver
        };
        Self { drawn: (0..threads).map(thread).collect(), turn: 0 }
    }
}

impl Iterator for Ahead {
    type Item = Result<Vec<Episode>, EpisodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let turn = self.turn;
        self.turn = (turn + 1) % self.drawn.len();
        self.drawn[turn].recv().ok()
    }
}
