//! The command line and its agent, from outside.

mod api;
mod assets;
mod check;
mod clients;
mod commands;
mod faults;
mod oci;
mod page;
mod served;
mod start;
mod transcriptions;
