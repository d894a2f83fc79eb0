//! A source of files: the Hugging Face hub over HTTPS, at one commit, with downloads that go on where they stopped.

use crate::place;
use crate::progress::Progress;
use fdk_inference::manifest::File;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{StatusCode, header};

/// The hub, or the mirror that `HF_ENDPOINT` names, as in Hugging Face's own tools.
pub(crate) fn endpoint() -> String {
    let configured = std::env::var("HF_ENDPOINT").ok().filter(|url| !url.is_empty());
    configured.map_or("https://huggingface.co".to_owned(), |url| url.trim_end_matches('/').to_owned())
}

/// Downloads the missing files. The error names the file and says why not.
pub(crate) fn obtain(
    repository: &str,
    revision: &str,
    missing: &[&File],
    folder: &Path,
    progress: &Progress,
) -> Result<(), String> {
    let agent: Agent = Agent::config_builder()
        .timeout_resolve(Some(Duration::from_secs(3)))
        .timeout_connect(Some(Duration::from_secs(3)))
        // A stalled download holds the lock that others wait for; what came of it is kept.
        .timeout_recv_body(Some(Duration::from_mins(30)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .build()
        .into();
    for file in missing {
        let url = format!("{}/{repository}/resolve/{revision}/{}", endpoint(), file.path);
        download(&agent, &url, file, folder, progress).map_err(|why| format!("{}: {why}", file.path))?;
    }
    Ok(())
}

fn download(agent: &Agent, url: &str, file: &File, folder: &Path, progress: &Progress) -> Result<(), String> {
    let partial = place::partial(folder, file).map_err(|error| error.to_string())?;
    let mut have = fs::metadata(&partial).map_or(0, |found| found.len());
    if have > file.size {
        have = 0;
    }
    if have < file.size {
        let mut request = agent.get(url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let response = request.call().map_err(|error| error.to_string())?;
        // A server that knows no ranges sends the whole; 206 goes on where we stopped.
        match response.status() {
            StatusCode::PARTIAL_CONTENT if have > 0 => {}
            StatusCode::OK => have = 0,
            other => return Err(format!("the server answered {other}")),
        }
        let body = response.into_body().into_reader().take(file.size - have + 1);
        append(body, &partial, have, file, progress).map_err(|error| error.to_string())?;
    }
    place::finish(&partial, folder, file)
}

fn append(
    mut body: impl io::Read,
    partial: &Path,
    have: u64,
    file: &File,
    progress: &Progress,
) -> io::Result<()> {
    let mut out = fs::OpenOptions::new().create(true).write(true).truncate(false).open(partial)?;
    out.set_len(have)?;
    io::Seek::seek(&mut out, io::SeekFrom::End(0))?;
    let bar = progress.bar(&file.path, file.size, have);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match body.read(&mut buffer)? {
            0 => break,
            read => {
                out.write_all(&buffer[..read])?;
                bar.inc(read as u64);
            }
        }
    }
    bar.finish();
    let written = out.metadata()?.len();
    if written < file.size {
        let message = format!(
            "the connection ended after {written} of {} bytes: run again to go on from there",
            file.size
        );
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
    }
    Ok(())
}
