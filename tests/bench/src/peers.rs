//! Who is measured.

use crate::function::Spec;
use crate::{Result, because, compile, python};
use std::path::{Path, PathBuf};

/// One server under test, or why it cannot be one.
pub(crate) struct Peer {
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) spec: Result<Spec>,
    pub(crate) version: String,
    /// Whether it echoes; `hello` speaks JSON and is only started and weighed.
    pub(crate) echoes: bool,
}

impl Peer {
    pub(crate) fn body(&self) -> (&'static [u8], &'static str) {
        if self.echoes { (&[b'x'; 1024], "text/plain") } else { (b"{\"name\":\"Fn\"}", "application/json") }
    }
}

/// In the order in which they take turns.
pub(crate) fn all(root: &Path, output: &Path) -> Result<Vec<Peer>> {
    let built = compile::release(root, &["probe", "hello"])?;
    let ours = |name: &str, config: &[(&str, &str)]| {
        let program = built.get(name).cloned().ok_or_else(|| format!("the build made no '{name}'"))?;
        Ok(spec(program, &[], config))
    };
    // A copy: pages of a file that the bench itself has mapped would not count as private to its peer.
    let this = output.join("bare-hyper");
    std::env::current_exe().and_then(|own| std::fs::copy(own, &this)).map_err(because(this.display()))?;
    let bare = |handler| Ok(spec(this.clone(), &["serve", handler], &[]));
    let python = python::prepare(output);
    let version = python.as_ref().map_or_else(|_| "NOT RUN".into(), |python| python.version.clone());
    let echo = root.join("tests/bench/echo.py").display().to_string();
    let python = python.map(|python| spec(python.fdk, &[&echo, "handler"], &[]));
    let own = || "this repository".to_owned();
    let lock = || "see hyper".to_owned();
    Ok(vec![
        peer("ours", "ours, FDK_LOG=off", ours("probe", &[("FDK_LOG", "off")]), own(), true),
        peer("hyper_inline", "hyper, one thread", bare("inline"), lock(), true),
        peer("hyper_thread", "hyper, handler thread", bare("thread"), lock(), true),
        peer("python_fdk", "Python FDK", python, version, true),
        peer("ours_logging", "ours, default log", ours("probe", &[]), own(), true),
        peer("hello", "ours, examples/hello", ours("hello", &[("FDK_LOG", "off")]), own(), false),
    ])
}

fn peer(id: &'static str, label: &'static str, spec: Result<Spec>, version: String, echoes: bool) -> Peer {
    Peer { id, label, spec, version, echoes }
}

fn spec(program: PathBuf, arguments: &[&str], config: &[(&str, &str)]) -> Spec {
    Spec {
        program,
        arguments: arguments.iter().map(|&argument| argument.into()).collect(),
        config: config.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
    }
}
