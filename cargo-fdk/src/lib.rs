//! `cargo fdk`: the platform on a laptop. It builds functions, fetches their models, and runs them as the Fn agent does.
//!
//! It knows the assets manifest and the principal's rules, and nothing of candle, which the model tool links, or of the runtime: the agent speaks the contract from
//! the other side, by itself, so that what it accepts says something.

pub mod agent;
pub mod calls;
mod check;
pub mod cli;
pub mod compile;
mod demo;
pub mod function;
mod hop;
mod id;
pub mod images;
mod invoke;
pub mod issuer;
mod keys;
mod kit;
pub mod logs;
mod model_tool;
mod new;
pub mod oci;
pub mod platform;
pub mod policy;
pub mod pool;
mod principal;
mod register;
mod report;
pub mod sandbox;
pub mod server;
mod shim;
mod sign;
mod socket;
mod start;
mod stop;
pub mod store;
pub mod tenancy;
mod trigger;
pub mod usage;
mod watch;

pub use fdk_models::{Error, Result};
