//! `cargo fdk principal`: reads the environment as a function would, and prints the verdict; or issues a local one.

use crate::issuer::{Claims, Issuer, quoted};
use crate::{Error, Result};
use clap::{Args, Subcommand};
use fdk_principal::{Environment, Identity, Mode, Outcome, Policy, Refusal};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Verify the resource principal that the environment describes, and print the verdict
    Verify(Verification),
    /// As verify, and what the principal is: tenancy, compartment, resource, region, expiry
    Show(Verification),
    /// Make a resource principal of a local issuer, for tests: no OCI service takes it. Again with the same folder, it
    /// rotates
    Issue(Issuance),
}

#[derive(Args)]
struct Issuance {
    /// The folder for its files: the token, its private key, the issuer's key and public keys, and `env`
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Seconds until it expires
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=MAX_TTL))]
    ttl: u64,
    /// Claims to add or replace, a JSON object or @FILE; null leaves one out
    #[arg(long, value_name = "JSON|@FILE")]
    claims: Option<String>,
}

/// A year: longer than anything local should live.
const MAX_TTL: u64 = 366 * 86_400;

/// The last second of the year 9999: clocks and dates go no further.
const MAX_NOW: u64 = 253_402_300_799;

#[derive(Args)]
struct Verification {
    /// Verify as of this time, in seconds since 1970
    #[arg(long, value_name = "UNIX", value_parser = clap::value_parser!(u64).range(..=MAX_NOW))]
    now: Option<u64>,
    /// Refuse what is otherwise a warning: another resource type, another function's id; `FDK_PRINCIPAL_STRICT=1` does too
    #[arg(long)]
    strict: bool,
    /// Check the token's signature with the issuer's keys, a JWKS file; the one of `FDK_ISSUER_KEYS` when not given
    #[arg(long, value_name = "FILE")]
    issuer_keys: Option<PathBuf>,
    /// Print `{"verdict", "message", "warnings"}`, for refusals too
    #[arg(long)]
    json: bool,
}

/// Exit code 0 for a principal that is good, 1 for one that is not.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (options, show) = match &options.command {
        Command::Verify(options) => (options, false),
        Command::Show(options) => (options, true),
        Command::Issue(options) => return issue(options).map(|()| ExitCode::SUCCESS),
    };
    let now =
        options.now.map_or_else(SystemTime::now, |unix| SystemTime::UNIX_EPOCH + Duration::from_secs(unix));
    // What a function would read, but that whoever asks wants an answer: none is a refusal here.
    let policy = Policy::read(|name| std::env::var_os(name)).map(|policy| Policy {
        mode: Mode::Required,
        strict: policy.strict || options.strict,
        issuer_keys: options.issuer_keys.clone().or(policy.issuer_keys),
    });
    let verdict = policy.and_then(|policy| fdk_principal::verify(&Environment::from_process(), &policy, now));
    let identity = verdict.as_ref().ok().and_then(Outcome::principal).map(|principal| principal.identity());
    let report = report(identity.as_deref(), verdict.as_ref().err(), now, show);
    let _ = if options.json { writeln!(std::io::stdout(), "{report}") } else { person(&report) };
    Ok(if identity.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn issue(options: &Issuance) -> Result<()> {
    let claims = match options.claims.as_deref() {
        None => String::from("{}"),
        Some(claims) => match claims.strip_prefix('@') {
            None => claims.to_owned(),
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| Error::usage(format!("--claims @{file}: {error}")))?,
        },
    };
    let others = serde_json::from_str(&claims)
        .map_err(|error| Error::usage(format!("--claims must be a JSON object: {error}")))?;
    let claims = Claims { ttl: Duration::from_secs(options.ttl), others };
    let issuer = Issuer::open(&options.dir)?;
    let folder = issuer.rotate(&claims, SystemTime::now())?;
    let env = folder.join("env").display().to_string();
    let plain = |letter: char| letter.is_alphanumeric() || "/._-".contains(letter);
    let env = if env.chars().all(plain) { env } else { quoted(&env) };
    let _ = writeln!(
        std::io::stdout(),
        "a LOCAL resource principal, for tests: no OCI service takes it\n\
         {}: rpst, private.pem, jwks.json, issuer.pem, env; it expires in {} s\n\
         use it:    set -a; . {env}; set +a\n\
         then:      cargo fdk principal show, cargo fdk invoke DIR\n\
         rotate it: the same command again",
        folder.display(),
        options.ttl,
    );
    Ok(())
}

fn report(identity: Option<&Identity>, refusal: Option<&Refusal>, now: SystemTime, show: bool) -> Value {
    let Some(identity) = identity else {
        let (code, message) =
            refusal.map_or(("absent", String::new()), |refusal| (refusal.code(), refusal.to_string()));
        return json!({"verdict": code, "message": message, "warnings": []});
    };
    let left = identity.expires_at().duration_since(now).unwrap_or_default().as_secs();
    let warnings: Vec<Value> = identity
        .warnings()
        .iter()
        .map(|warning| json!({"code": warning.code(), "message": warning.to_string()}))
        .collect();
    let mut report = json!({
        "verdict": identity.code(now),
        "message": format!("verified {}, {left} s left", identity.resource_id().unwrap_or("(no resource id)")),
        "warnings": warnings,
    });
    if show {
        report["principal"] = json!({
            "tenancy": identity.tenancy(),
            "compartment": identity.compartment(),
            "resource_id": identity.resource_id(),
            "resource_type": identity.resource_type(),
            "region": identity.region(),
            "realm_domain": identity.realm_domain(),
            "seconds_left": left,
        });
    }
    report
}

fn person(report: &Value) -> std::io::Result<()> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let stdout = &mut std::io::stdout();
    writeln!(stdout, "{}: {}", text(&report["verdict"]), text(&report["message"]))?;
    for warning in report["warnings"].as_array().into_iter().flatten() {
        writeln!(stdout, "warning: {}: {}", text(&warning["code"]), text(&warning["message"]))?;
    }
    for (name, value) in report["principal"].as_object().into_iter().flatten() {
        writeln!(stdout, "{name:<14} {}", text(value))?;
    }
    Ok(())
}
