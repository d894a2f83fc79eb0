//! One file per architecture.

pub(crate) mod bert;
