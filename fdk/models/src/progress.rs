//! What a person sees while files come: a bar on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};

pub(crate) struct Progress {
    model: String,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new(model: &str) -> Self {
        Self { model: model.into(), terminal: std::io::stderr().is_terminal() }
    }

    pub(crate) fn on_terminal(&self) -> bool {
        self.terminal
    }

    pub(crate) fn line(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{}: {text}", self.model);
    }

    /// A bar over `size` bytes that starts at `have`.
    pub(crate) fn bar(&self, file: &str, size: u64, have: u64) -> ProgressBar {
        if !self.terminal {
            self.line(&format!("{file} ({size} bytes)"));
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{msg} [{wide_bar}] {bytes}/{total_bytes} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(size).with_style(style).with_message(format!("{}/{file}", self.model));
        bar.set_position(have);
        bar
    }
}
