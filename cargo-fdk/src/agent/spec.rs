//! What a container runs.

use crate::sandbox::Sandbox;
use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What to run.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The function's name.
    pub name: String,
    /// The function's id.
    pub fn_id: String,
    /// The application's id.
    pub app_id: String,
    /// The executable.
    pub executable: PathBuf,
    /// Configuration of the function, the last of a name wins; the platform's own variables win over it.
    pub config: Vec<(String, String)>,
    /// What it reads beside its executable: files and folders, at these paths.
    pub visible: Vec<PathBuf>,
    /// What goes when the container has ended, such as a temporary folder.
    pub kept: Vec<Arc<dyn Any + Send + Sync>>,
    /// Granted memory in MB.
    pub memory: u64,
    /// How long a call may take.
    pub timeout: Duration,
    /// The largest body of a reply, in bytes.
    pub reply_limit: Option<usize>,
    /// Whether the function's output is passed on to stderr as it comes.
    pub echo: bool,
    /// The walls around it; none when there are to be none.
    pub sandbox: Option<Sandbox>,
}

impl Spec {
    /// A function with the platform's defaults.
    pub fn new(name: &str, executable: PathBuf) -> Self {
        Self {
            name: name.into(),
            fn_id: format!("01LOCAL{}", name.to_uppercase()),
            app_id: "01LOCALAPP".into(),
            executable,
            config: Vec::new(),
            visible: Vec::new(),
            kept: Vec::new(),
            memory: 128,
            timeout: Duration::from_secs(30),
            reply_limit: None,
            echo: false,
            sandbox: None,
        }
    }
}
