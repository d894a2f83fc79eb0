//! `cargo fdk`: the platform on a laptop. It builds functions, fetches their models, and runs them as the Fn agent does.
//!
//! It knows the assets manifest and the principal's rules, and nothing of the runtime: the agent speaks the contract from
//! the other side, by itself, so that what it accepts says something.

pub mod agent;
pub mod assets;
mod check;
pub mod cli;
pub mod compile;
mod demo;
mod error;
pub mod function;
mod invoke;
pub mod logs;
mod principal;
mod report;
mod sign;
mod socket;
pub mod usage;

pub use error::{Error, Result};
