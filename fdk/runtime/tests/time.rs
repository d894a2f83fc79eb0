//! What the two instants of a deadline do to a handler, to what it holds, and to its stream.

use fdk_runtime::{Context, Error, Reply, Result, testing};
use futures_util::stream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Long enough for a handler to begin, on a machine with much else to do.
const LEFT: Duration = Duration::from_secs(3);

/// Sets a flag when it goes.
struct Tell(&'static AtomicBool);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether the flag is set within ten seconds.
async fn told(flag: &AtomicBool) -> bool {
    for _ in 0..1000 {
        if flag.load(Ordering::Relaxed) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn the_future_and_what_it_holds_go_at_the_deadline() {
    static GONE: AtomicBool = AtomicBool::new(false);

    async fn wait(_: Context, (): ()) -> Result<()> {
        let _held = Tell(&GONE);
        std::future::pending().await
    }

    let function = testing::function(wait);
    assert_eq!(function.body("").deadline(LEFT).call().await.wire_status(), 504);
    assert!(told(&GONE).await, "the future lives on");
}

#[tokio::test]
async fn a_stream_that_waits_for_its_next_chunk_breaks_off_at_the_deadline() {
    static GONE: AtomicBool = AtomicBool::new(false);

    async fn begin(_: Context, (): ()) -> Result<Reply> {
        Ok(Reply::stream(stream::unfold((Tell(&GONE), true), |(held, first)| async move {
            if !first {
                std::future::pending::<()>().await;
            }
            Some((Ok::<_, Error>("first"), (held, false)))
        })))
    }

    let function = testing::function(begin);
    let began = Instant::now();
    let reply = function.body("").deadline(LEFT).call().await;
    assert_eq!(reply.wire_status(), 200);
    assert!(reply.broke_off());
    assert!(began.elapsed() < 4 * LEFT, "{:?}", began.elapsed());
    assert!(told(&GONE).await, "the stream lives on");
}

#[tokio::test]
async fn the_token_says_so_from_the_soft_instant_on() {
    static RIGHT: AtomicBool = AtomicBool::new(true);
    static ENDED: AtomicBool = AtomicBool::new(false);

    // It blocks, so that nothing but the token ends it.
    async fn ask(cx: Context, (): ()) -> Result<()> {
        let _ended = Tell(&ENDED);
        let soft = cx.deadline().map(|deadline| deadline.soft()).ok_or_else(|| Error::new("no deadline"))?;
        loop {
            let before = Instant::now();
            let cancelled = cx.cancellation().is_cancelled();
            // Between these two instants either answer is right.
            let wrong = if cancelled { Instant::now() < soft } else { before >= soft };
            if wrong {
                RIGHT.store(false, Ordering::Relaxed);
            }
            if cancelled || wrong {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    let function = testing::function(ask);
    // Between the soft and the hard instant there are 250 ms: a machine with much else to do may need more.
    let status = function.body("").deadline(LEFT).call().await.wire_status();
    assert!(matches!(status, 200 | 504), "{status}");
    assert!(told(&ENDED).await, "it was never told to stop");
    assert!(RIGHT.load(Ordering::Relaxed), "the token was early or late");
}
