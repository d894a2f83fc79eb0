//! The container contract, from the platform's side of the socket, on release builds of real functions.

mod failures;
mod frames;
mod gateway;
mod hostile;
mod lifecycle;
mod logs;
mod requests;
mod secrets;
mod socket;
mod tasks;
mod threads;
mod witness;
