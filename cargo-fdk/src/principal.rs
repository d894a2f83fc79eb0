//! `cargo fdk principal`: reads the environment as a function would, and prints the verdict.

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
}

#[derive(Args)]
struct Verification {
    /// Verify as of this time, in seconds since 1970
    #[arg(long, value_name = "UNIX")]
    now: Option<u64>,
    /// Refuse what is otherwise a warning: another resource type, another function's id
    #[arg(long)]
    strict: bool,
    /// Check the token's signature with the issuer's keys, a JWKS file
    #[arg(long, value_name = "FILE")]
    issuer_keys: Option<PathBuf>,
    /// Print `{"verdict", "message", "warnings"}`, for refusals too
    #[arg(long)]
    json: bool,
}

/// Exit code 0 for a principal that is good, 1 for one that is not.
pub(crate) fn run(options: &Options) -> ExitCode {
    let (options, show) = match &options.command {
        Command::Verify(options) => (options, false),
        Command::Show(options) => (options, true),
    };
    let now =
        options.now.map_or_else(SystemTime::now, |unix| SystemTime::UNIX_EPOCH + Duration::from_secs(unix));
    let policy =
        Policy { mode: Mode::Required, strict: options.strict, issuer_keys: options.issuer_keys.clone() };
    let verdict = fdk_principal::verify(&Environment::from_process(), &policy, now);
    let identity = verdict.as_ref().ok().and_then(Outcome::principal).map(|principal| principal.identity());
    let report = report(identity.as_deref(), verdict.as_ref().err(), now, show);
    let _ = if options.json { writeln!(std::io::stdout(), "{report}") } else { person(&report) };
    if identity.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
