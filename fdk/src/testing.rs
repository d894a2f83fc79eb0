//! Calls a function in a test, without a socket and without a platform; see [`fdk_runtime::testing`].
//!
//! ```
//! # use fdk::{Context, Json, Result, testing};
//! # use serde_json::{Value, json};
//! async fn double(_cx: Context, Json(n): Json<u32>) -> Result<Json<u32>> {
//!     Ok(Json(n * 2))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let reply = testing::function(double).json(&json!(21)).call().await;
//! assert_eq!(reply.json::<Value>(), 42);
//! # }
//! ```

pub use fdk_runtime::testing::{TestCall, TestFunction, TestReply};

use fdk_runtime::Handler;

/// A function without state, to be called by a test. For one with state: `fdk::function().state(…).test(handler)`.
pub fn function<H, Args>(handler: H) -> TestFunction
where
    H: Handler<(), Args> + Send,
    Args: 'static,
{
    crate::function().test(handler)
}
