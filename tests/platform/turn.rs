//! Some tests count what this process, or the functions' user, has: meanwhile no other platform may run.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

static RUNNING: Mutex<Running> = Mutex::new(Running { beside: 0, alone: false });
static CHANGED: Condvar = Condvar::new();

struct Running {
    beside: usize,
    alone: bool,
}

/// The right to run a platform, held while it runs. It counts and is no lock: a test has as many platforms as it likes.
pub(crate) struct Turn {
    alone: bool,
}

impl Turn {
    pub(crate) fn beside_others() -> Self {
        let mut running = wait_while(|running| running.alone);
        running.beside += 1;
        Self { alone: false }
    }

    /// Nobody waits for those who wait for this: one who did, with a platform already, would wait for ever.
    pub(crate) fn alone() -> Self {
        let mut running = wait_while(|running| running.alone || running.beside > 0);
        running.alone = true;
        Self { alone: true }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if self.alone {
            running.alone = false;
        } else {
            running.beside -= 1;
        }
        drop(running);
        CHANGED.notify_all();
    }
}

fn wait_while(taken: impl Fn(&Running) -> bool) -> MutexGuard<'static, Running> {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    CHANGED.wait_while(running, |running| taken(running)).unwrap_or_else(PoisonError::into_inner)
}
