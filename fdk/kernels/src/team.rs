//! Fork and join over a few threads, for loops that take microseconds.
//!
//! The caller opens a gate and works through the chunks itself; a worker that comes in time takes chunks from it. So nothing
//! ever waits for a worker that the kernel has not scheduled, only for one that is at a chunk. Between loops a worker spins
//! for a moment, so that the next loop of the same request finds it awake, and then sleeps: a container that is frozen, or
//! idle, burns nothing.

use super::wake::Sleeper;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a worker spins for the next loop. Waking a sleeper costs as much.
const SPIN: Duration = Duration::from_micros(60);
/// How often the clock is read while it spins.
const SPINS_PER_LOOK: u32 = 64;
/// How often the caller looks for workers to be done before it offers its core to them.
const SPINS_PER_YIELD: u32 = 4096;
/// The most threads; the sandbox of a function allows 50 in all.
const MOST: usize = 32;

/// The gate's word: the number of the loop, whether it may be joined, and how many workers have.
const OPEN: usize = 1 << 15;
const JOINED: usize = OPEN - 1;
const LOOP: usize = 1 << 16;

/// A caller and its workers.
#[derive(Debug)]
pub struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    gate: AtomicUsize,
    /// The next chunk that nobody has taken.
    next: AtomicUsize,
    /// What the loop does. The caller writes it while the gate is shut and nobody is inside; workers read it inside.
    task: UnsafeCell<Task>,
    stop: AtomicBool,
    panicked: AtomicBool,
    sleepers: Box<[Sleeper]>,
}

// SAFETY: `task` is written only by the caller, only while the gate is shut and no worker is inside (`run` ends by waiting
// for that), and it is read only by workers that have joined through the gate, which orders the write before the read.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `task` is only followed inside a loop, whose closure is `Sync`.
unsafe impl Send for Shared {}

/// A closure by its address, so that no loop allocates.
#[derive(Clone, Copy)]
struct Task {
    data: *const (),
    call: unsafe fn(*const (), usize, usize),
    chunks: usize,
}

/// How many threads a team has unless told otherwise: `FDK_THREADS`, or what the runtime made of it for candle
/// (`RAYON_NUM_THREADS`), and never more than the container may use.
pub fn threads() -> usize {
    let available = thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MOST);
    ["FDK_THREADS", "RAYON_NUM_THREADS"]
        .iter()
        .find_map(|name| std::env::var(name).ok()?.trim().parse::<usize>().ok().filter(|count| *count > 0))
        .map_or(available, |asked| asked.min(available))
}

impl Team {
    /// A team of so many threads, of which the caller is one. Workers that the system refuses are done without.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            gate: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            task: UnsafeCell::new(Task { data: std::ptr::null(), call: nothing, chunks: 0 }),
            stop: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            sleepers: (1..threads.clamp(1, MOST)).map(|_| Sleeper::default()).collect(),
        });
        let worker = |index: usize| {
            let shared = shared.clone();
            let builder = thread::Builder::new().name(format!("kernel-{}", index + 1)).stack_size(256 * 1024);
            builder.spawn(move || shared.work(index)).ok()
        };
        let workers = (0..shared.sleepers.len()).map_while(worker).collect();
        Self { shared, workers }
    }

    /// How many threads it has; members are numbered from 0, the caller.
    pub fn size(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work(chunk, member)` once for every chunk and returns when all are done. A chunk belongs to one member at a
    /// time, and so does whatever is indexed by the member. A panic in a chunk is the caller's.
    pub fn run(&mut self, chunks: usize, work: impl Fn(usize, usize) + Sync) {
        if self.workers.is_empty() || chunks <= 1 {
            (0..chunks).for_each(|chunk| work(chunk, 0));
            return;
        }
        self.open(chunks, &work);
        // Dropped last and on a panic as well: no worker may hold the closure after this function.
        let inside = Inside(&self.shared);
        self.shared.take(&work, chunks, 0);
        drop(inside);
        assert!(!self.shared.panicked.load(Ordering::Relaxed), "a kernel panicked on another thread");
    }

    fn open<W: Fn(usize, usize) + Sync>(&mut self, chunks: usize, work: &W) {
        unsafe fn call<W: Fn(usize, usize)>(data: *const (), chunk: usize, member: usize) {
            // SAFETY: `data` is the closure of the loop that is on, which outlives it.
            unsafe { (*data.cast::<W>())(chunk, member) }
        }
        // SAFETY: the gate is shut and nobody is inside: `&mut self`, and every loop ends so.
        unsafe {
            *self.shared.task.get() = Task { data: std::ptr::from_ref(work).cast(), call: call::<W>, chunks }
        };
        self.shared.next.store(0, Ordering::Relaxed);
        // Here rather than where it is asked for, which a loop that panics on the caller's thread as well never reaches.
        self.shared.panicked.store(false, Ordering::Relaxed);
        let number = self.shared.gate.load(Ordering::Relaxed) / LOOP;
        self.shared.gate.store(number.wrapping_add(1).wrapping_mul(LOOP) | OPEN, Ordering::SeqCst);
        for (sleeper, worker) in self.shared.sleepers.iter().zip(&self.workers) {
            // Once for each sleep: until the worker has come, many loops may pass.
            if sleeper.asleep.swap(false, Ordering::SeqCst) {
                sleeper.prepare();
                worker.thread().unpark();
            }
        }
    }
}

/// A loop that is on: shut and waited for when it goes.
struct Inside<'t>(&'t Shared);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // Whoever has not come is not waited for, and what a panic left undone stays undone.
        self.0.gate.fetch_and(!OPEN, Ordering::AcqRel);
        let mut looks = 0_u32;
        while self.0.gate.load(Ordering::Acquire) & JOINED != 0 {
            looks += 1;
            if looks.is_multiple_of(SPINS_PER_YIELD) { thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

impl Shared {
    /// Takes chunks until none is left.
    fn take(&self, work: impl Fn(usize, usize), chunks: usize, member: usize) {
        loop {
            let chunk = self.next.fetch_add(1, Ordering::Relaxed);
            if chunk >= chunks {
                return;
            }
            work(chunk, member);
        }
    }

    /// A worker's life.
    fn work(&self, index: usize) {
        self.sleepers[index].begin();
        let mut last = 0;
        while self.join(index, &mut last) {
            // SAFETY: this worker has joined, so the caller leaves the task alone until it is out again.
            let task = unsafe { *self.task.get() };
            // SAFETY: as above; the closure lives until this worker is out.
            let work = |chunk, member| unsafe { (task.call)(task.data, chunk, member) };
            if catch_unwind(AssertUnwindSafe(|| self.take(work, task.chunks, index + 1))).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
                // Its chunk is lost; the others need not be done.
                self.next.store(task.chunks, Ordering::Relaxed);
            }
            self.gate.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for a loop that it has not been in, and joins it. False when the team is no more.
    fn join(&self, index: usize, last: &mut usize) -> bool {
        let mut since = None;
        let mut spins = 0_u32;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            let gate = self.gate.load(Ordering::Acquire);
            if gate / LOOP != *last && gate & OPEN != 0 {
                if self.gate.compare_exchange(gate, gate + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    *last = gate / LOOP;
                    return true;
                }
                continue;
            }
            std::hint::spin_loop();
            spins += 1;
            if spins.is_multiple_of(SPINS_PER_LOOK) && since.get_or_insert_with(Instant::now).elapsed() > SPIN
            {
                self.sleep(index, *last);
                since = None;
            }
        }
    }

    /// Sleeps until a loop is opened. The flag is up before the gate is looked at again, and the caller opens the gate before
    /// it looks at the flag: one of them sees the other.
    fn sleep(&self, index: usize, last: usize) {
        let sleeper = &self.sleepers[index];
        sleeper.asleep.store(true, Ordering::SeqCst);
        let gate = self.gate.load(Ordering::SeqCst);
        if (gate / LOOP == last || gate & OPEN == 0) && !self.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        sleeper.asleep.store(false, Ordering::SeqCst);
        sleeper.awake();
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker does not panic: it catches what its chunks do.
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("loops", &(self.gate.load(Ordering::Relaxed) / LOOP))
            .finish_non_exhaustive()
    }
}

unsafe fn nothing(_: *const (), _: usize, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    #[test]
    fn every_chunk_is_done_once_whatever_the_workers_do() {
        for threads in [1, 2, 3, 8] {
            let mut team = Team::new(threads);
            assert_eq!(team.size(), threads);
            for round in 0..200 {
                let chunks = round % 17;
                let done: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
                team.run(chunks, |chunk, member| {
                    assert!(member < threads);
                    done[chunk].fetch_add(1, Ordering::Relaxed);
                });
                assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{threads} {round}");
                if round % 50 == 0 {
                    // Long enough for the workers to fall asleep.
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }

    #[test]
    fn a_member_is_one_thread_at_a_time() {
        let mut team = Team::new(4);
        let busy: Vec<AtomicBool> = (0..4).map(|_| AtomicBool::new(false)).collect();
        let seen = Mutex::new(BTreeSet::new());
        team.run(64, |_, member| {
            assert!(!busy[member].swap(true, Ordering::SeqCst));
            thread::sleep(Duration::from_micros(200));
            seen.lock().unwrap().insert(member);
            busy[member].store(false, Ordering::SeqCst);
        });
        assert!(seen.lock().unwrap().contains(&0));
    }

    #[test]
    fn a_panic_is_the_callers_and_the_team_goes_on() {
        let mut team = Team::new(3);
        for bad in 0..8 {
            let panics = |chunk: usize, _: usize| {
                thread::sleep(Duration::from_micros(100));
                assert!(chunk != bad, "on purpose");
            };
            assert!(catch_unwind(AssertUnwindSafe(|| team.run(8, panics))).is_err(), "{bad}");
            let count = AtomicUsize::new(0);
            team.run(8, |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.load(Ordering::Relaxed), 8);
        }
    }

    #[test]
    fn a_panic_of_caller_and_worker_together_is_no_fault_of_the_next_loop() {
        let mut team = Team::new(2);
        let both_at_work = std::sync::Barrier::new(2);
        let panics = |_: usize, _: usize| {
            both_at_work.wait();
            panic!("on purpose");
        };
        assert!(catch_unwind(AssertUnwindSafe(|| team.run(2, panics))).is_err());
        let count = AtomicUsize::new(0);
        team.run(8, |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.load(Ordering::Relaxed), 8);
    }

    #[test]
    fn a_team_is_as_large_as_the_container_allows() {
        assert!((1..=MOST).contains(&threads()));
        assert_eq!(Team::new(0).size(), 1);
    }
}
