//! The command line and its agent, from outside.

mod access;
mod api;
mod assets;
mod check;
mod clients;
mod commands;
mod documentation;
mod elsewhere;
mod endpoint;
mod endurance;
mod faults;
mod fn_cli;
mod hostile;
mod linked;
mod neighbours;
mod new;
mod oci;
mod page;
mod security;
mod served;
mod start;
mod storage;
mod transcriptions;
mod turn;
