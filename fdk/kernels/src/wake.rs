//! On which CPU a worker wakes.
//!
//! KVM tells its guest that a CPU which halts is preempted, and a kernel looking for an idle CPU passes those over (Linux,
//! `available_idle_cpu`). After a pause of some milliseconds, that is before most requests, a worker would so wake on its
//! caller's own CPU, and the two would take turns there for the whole request beside a CPU that does nothing. The caller
//! therefore keeps a sleeper off its CPU while it wakes it, and the worker may go anywhere again as soon as it is awake. Where
//! the system refuses, things are as before.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// What a caller knows of a worker's sleep.
#[derive(Debug, Default)]
pub(super) struct Sleeper {
    /// Up before the worker looks at the gate for the last time.
    pub(super) asleep: AtomicBool,
    thread: AtomicI32,
    kept_off: AtomicBool,
}

#[cfg(target_os = "linux")]
mod affinity {
    use rustix::process::getpid;
    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

    pub(super) fn this_thread() -> i32 {
        gettid().as_raw_nonzero().get()
    }

    /// Whether the thread now may run on every CPU that its caller may, but the one that this is.
    pub(super) fn keep_off(thread: i32) -> bool {
        let (Some(thread), Ok(mut cpus)) = (Pid::from_raw(thread), sched_getaffinity(None)) else {
            return false;
        };
        let here = sched_getcpu();
        if cpus.count() < 2 || here >= CpuSet::MAX_CPU || !cpus.is_set(here) {
            return false;
        }
        cpus.unset(here);
        sched_setaffinity(Some(thread), &cpus).is_ok()
    }

    /// Whether this thread may run wherever the process may, as [`anywhere`] lets it.
    pub(super) fn is_free() -> bool {
        matches!((sched_getaffinity(None), sched_getaffinity(Some(getpid()))), (Ok(own), Ok(all)) if own == all)
    }

    /// This thread may run wherever its process may.
    pub(super) fn anywhere() {
        if let Ok(cpus) = sched_getaffinity(Some(getpid())) {
            let _ = sched_setaffinity(None, &cpus);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    pub(super) fn this_thread() -> i32 {
        0
    }

    pub(super) fn keep_off(_: i32) -> bool {
        false
    }

    pub(super) fn is_free() -> bool {
        false
    }

    pub(super) fn anywhere() {}
}

impl Sleeper {
    /// Said by the worker, before it first sleeps. One that somebody has confined is left where it is.
    pub(super) fn begin(&self) {
        if affinity::is_free() {
            self.thread.store(affinity::this_thread(), Ordering::Relaxed);
        }
    }

    /// Said by the caller, before it wakes the worker.
    pub(super) fn prepare(&self) {
        if affinity::keep_off(self.thread.load(Ordering::Relaxed)) {
            self.kept_off.store(true, Ordering::Release);
        }
    }

    /// Said by the worker when it has slept. Where it overtakes `prepare`, that is made good after its next sleep.
    pub(super) fn awake(&self) {
        if self.kept_off.swap(false, Ordering::Acquire) {
            affinity::anywhere();
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::Sleeper;
    use rustix::thread::{sched_getaffinity, sched_setaffinity};
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    #[test]
    fn a_worker_may_go_anywhere_once_it_is_awake() {
        let sleeper = Arc::new(Sleeper::default());
        let (wake, woken) = channel::<()>();
        let (tell, told) = channel();
        let worker = std::thread::spawn({
            let sleeper = sleeper.clone();
            move || {
                sleeper.begin();
                for () in woken {
                    let before = sched_getaffinity(None).unwrap();
                    sleeper.awake();
                    tell.send((before, sched_getaffinity(None).unwrap())).unwrap();
                }
            }
        });
        let all = sched_getaffinity(None).unwrap();
        wake.send(()).unwrap();
        assert_eq!(told.recv().unwrap(), (all, all), "nobody has kept it off");
        sleeper.prepare();
        wake.send(()).unwrap();
        let (before, after) = told.recv().unwrap();
        // Where the system refuses, it stays as it was.
        let allowed = sched_setaffinity(None, &all).is_ok();
        let other = if allowed { (all.count() - 1).max(1) } else { all.count() };
        assert_eq!(before.count(), other, "{before:?} of {all:?}");
        assert_eq!(after, all);
        drop(wake);
        worker.join().unwrap();
    }
}
