//! The command line and its agent, from outside.

mod assets;
mod check;
mod commands;
