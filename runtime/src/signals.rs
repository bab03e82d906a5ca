//! Signals that ask for an end: SIGINT, SIGTERM and SIGHUP, on Windows Ctrl-C. What ending takes is the commands' business.

use std::{
    process,
    sync::atomic::{AtomicBool, Ordering},
};

/// The exit code of a program that such a signal ended.
pub const INTERRUPTED: i32 = 130;

/// Signals can't be caught.
#[derive(Debug, thiserror::Error)]
#[error("signals can't be caught ({0}); report this")]
pub struct SignalError(#[from] ctrlc::Error);

/// Calls `stop` at the first signal that asks for an end; another ends the program at once, with exit code [`INTERRUPTED`]. Those that are
/// ignored, as nohup and shells in scripts have it, stay ignored.
///
/// # Errors
/// The system's refusal.
pub fn on_signal(stop: impl Fn() + Send + 'static) -> Result<(), SignalError> {
    let asked = AtomicBool::new(false);
    let handler = move || match asked.swap(true, Ordering::Relaxed) {
        true => process::exit(INTERRUPTED),
        false => stop(),
    };
    #[cfg(unix)]
    let ignored = ignored::now();
    ctrlc::set_handler(handler)?;
    #[cfg(unix)]
    ignored::again(&ignored);
    Ok(())
}

#[cfg(unix)]
mod ignored {
    //! The signals that whoever started this program has it ignore.

    use std::{mem, ptr};

    const ASKING: [libc::c_int; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM];

    pub fn now() -> Vec<libc::c_int> {
        let is_ignored = |signal: &libc::c_int| {
            // SAFETY: an all-zero sigaction is a valid one, and without a new one the call only writes to it.
            let old = unsafe {
                let mut old: libc::sigaction = mem::zeroed();
                libc::sigaction(*signal, ptr::null(), &mut old);
                old
            };
            old.sa_sigaction == libc::SIG_IGN
        };
        ASKING.into_iter().filter(is_ignored).collect()
    }

    pub fn again(signals: &[libc::c_int]) {
        for signal in signals {
            // SAFETY: SIG_IGN is a disposition that every signal of these may have.
            unsafe { libc::signal(*signal, libc::SIG_IGN) };
        }
    }
}
