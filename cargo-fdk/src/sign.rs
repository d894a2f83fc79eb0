//! `cargo fdk sign`: signs a request as a user or as a resource principal, and prints the headers to send.

use crate::{Error, Result};
use clap::Args;
use fdk_principal::{ApiKey, Environment, Mode, Outcome, Payload, Policy, Refusal, Signer};
use http::{HeaderName, HeaderValue, Request, header};
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

#[derive(Args)]
pub(crate) struct Options {
    /// The HTTP method
    #[arg(long, default_value = "GET")]
    method: String,
    /// The whole URL, as it goes on the wire
    #[arg(long)]
    url: String,
    /// The body: text, or @FILE; POST, PUT and PATCH without one sign an empty body
    #[arg(long, value_name = "STR|@FILE")]
    body: Option<String>,
    /// A header to send; it is signed when signatures cover headers of its name
    #[arg(long, value_name = "K: V")]
    header: Vec<String>,
    /// The date to sign, an IMF-fixdate such as `Sun, 22 Nov 2026 12:00:00 GMT`; now when not given
    #[arg(long)]
    date: Option<String>,
    /// Leave the body out of the signature, as Object Storage allows for uploads
    #[arg(long)]
    unsigned_body: bool,
    /// Print `{"signing_string", "authorization", "headers"}`; a header that is there twice has a list of values
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct Identity {
    /// Sign as the user of this profile in ~/.oci/config (`OCI_CONFIG_FILE` or `OCI_CLI_CONFIG_FILE` names another file)
    #[arg(long, value_name = "PROFILE", conflicts_with_all = ["key", "resource_principal"])]
    config_profile: Option<String>,
    /// Sign with this private key, a PEM file
    #[arg(long, value_name = "FILE", requires = "key_id", conflicts_with = "resource_principal")]
    key: Option<PathBuf>,
    /// The key's id: tenancy/user/fingerprint
    #[arg(long, requires = "key")]
    key_id: Option<String>,
    /// Sign as the resource principal that the environment describes
    #[arg(long)]
    resource_principal: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let refused = |refusal: Refusal| Error::failed(format!("{}: {refusal}", refusal.code()));
    let body = body(options.body.as_deref())?;
    let mut head = head(options)?;
    let payload = if options.unsigned_body { Payload::Unsigned } else { Payload::Bytes(&body) };
    let signed =
        signer(&options.identity)?.sign_head(&mut head, payload, SystemTime::now()).map_err(refused)?;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let stdout = &mut std::io::stdout();
    let _ = if options.json {
        let values =
            |name: &HeaderName| match &*head.headers.get_all(name).iter().map(text).collect::<Vec<_>>() {
                [one] => Value::from(one.as_str()),
                several => Value::from(several),
            };
        let headers: Map<String, Value> =
            head.headers.keys().map(|name| (name.to_string(), values(name))).collect();
        let report = json!({
            "signing_string": signed.signing_string(),
            "authorization": signed.authorization(),
            "headers": headers,
        });
        writeln!(stdout, "{report}")
    } else {
        head.headers.iter().try_for_each(|(name, value)| writeln!(stdout, "{name}: {}", text(value)))
    };
    Ok(ExitCode::SUCCESS)
}

fn head(options: &Options) -> Result<http::request::Parts> {
    let mut request = Request::builder()
        .method(options.method.to_ascii_uppercase().as_str())
        .uri(&options.url)
        .body(())
        .map_err(|error| {
            Error::usage(format!("--method {} --url {}: {error}", options.method, options.url))
        })?;
    if request.uri().authority().is_none() {
        return Err(Error::usage(format!("--url {} names no host", options.url)));
    }
    let headers = request.headers_mut();
    if let Some(date) = &options.date {
        let value = HeaderValue::from_str(date).ok().filter(|_| is_imf_fixdate(date));
        let value = value.ok_or_else(|| {
            Error::usage(format!(
                "--date {date:?} is no IMF-fixdate (RFC 9110, 5.6.7): write it as Sun, 22 Nov 2026 12:00:00 GMT"
            ))
        })?;
        headers.insert(header::DATE, value);
    }
    for line in &options.header {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| Error::usage(format!("--header {line:?} is not of the form 'K: V'")))?;
        let name: HeaderName =
            name.trim().parse().map_err(|_| Error::usage(format!("--header: {name:?} is no header name")))?;
        let value = HeaderValue::from_str(value.trim())
            .map_err(|_| Error::usage(format!("--header: the value of {name} is no header value")))?;
        headers.append(name, value);
    }
    Ok(request.into_parts().0)
}

/// Whether a date is written as HTTP writes it: as we would.
fn is_imf_fixdate(date: &str) -> bool {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date);
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    time.is_ok_and(|time| printer.timestamp_to_rfc9110_string(&time).is_ok_and(|written| written == date))
}

fn body(body: Option<&str>) -> Result<Vec<u8>> {
    match body {
        None => Ok(Vec::new()),
        Some(text) => match text.strip_prefix('@') {
            None => Ok(text.into()),
            Some(file) => {
                std::fs::read(file).map_err(|error| Error::usage(format!("--body @{file}: {error}")))
            }
        },
    }
}

fn signer(identity: &Identity) -> Result<Signer> {
    let refused = |refusal: Refusal| Error::failed(format!("{}: {refusal}", refusal.code()));
    if let Some(profile) = &identity.config_profile {
        let file =
            ApiKey::config_file().ok_or_else(|| Error::usage("neither OCI_CONFIG_FILE nor HOME is set"))?;
        return ApiKey::from_config(&file, profile).map(|key| Arc::new(key).into()).map_err(refused);
    }
    if let (Some(file), Some(id)) = (&identity.key, &identity.key_id) {
        let passphrase = std::env::var("OCI_PASSPHRASE").ok();
        return ApiKey::from_file(id, file, passphrase.as_deref())
            .map(|key| Arc::new(key).into())
            .map_err(refused);
    }
    let policy = Policy { mode: Mode::Required, ..Policy::default() };
    let outcome =
        fdk_principal::verify(&Environment::from_process(), &policy, SystemTime::now()).map_err(refused)?;
    match outcome {
        Outcome::Verified(principal) => Ok(principal.into()),
        Outcome::Absent | Outcome::Off => {
            Err(Error::failed("the environment describes no resource principal"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_imf_fixdate;

    #[test]
    fn a_date_is_written_as_http_writes_it() {
        assert!(is_imf_fixdate("Sun, 22 Nov 2026 12:00:00 GMT"));
        for other in [
            "",
            "now",
            "2026-11-22T12:00:00Z",
            "Mon, 22 Nov 2026 12:00:00 GMT",
            "Sun, 22 Nov 2026 12:00:00 +0000",
            "Sun, 22 Nov 2026 12:00 GMT",
            "22 Nov 2026 12:00:00 GMT",
            "Sunday, 22-Nov-26 12:00:00 GMT",
            "Sun Nov 22 12:00:00 2026",
        ] {
            assert!(!is_imf_fixdate(other), "{other}");
        }
    }
}
