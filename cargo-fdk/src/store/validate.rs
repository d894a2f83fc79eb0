//! What the Fn server demands of applications, functions and triggers, in its order and its words.

use super::model::{Annotations, App, Func, Trigger, is_nothing};
use super::refusal::{Refusal, bad};

/// The longest name, in bytes.
const NAME: usize = 255;

pub(super) fn app(app: &App) -> Result<(), Refusal> {
    if app.name.is_empty() {
        return Err(bad("Missing Name"));
    }
    if app.name.len() > NAME {
        return Err(bad("App name must be 255 characters or less"));
    }
    if !is_plain(&app.name) {
        return Err(bad("Invalid app name"));
    }
    annotations(&app.annotations)?;
    if let Some(url) = app.syslog_url.as_deref().filter(|url| !url.is_empty()) {
        let scheme = url.trim().split_once(':').map_or("", |(scheme, _)| scheme);
        if !["udp", "tcp", "unix", "unixgram", "tcp+tls"].contains(&scheme) {
            return Err(bad(&format!(
                "invalid syslog url: \"{url}\" invalid scheme, only [tcp, udp, unix, unixgram, tcp+tls] are supported"
            )));
        }
    }
    if !["", "GENERIC_X86", "GENERIC_ARM", "GENERIC_X86_ARM"].contains(&app.shape.as_str()) {
        return Err(bad("Invalid app shape"));
    }
    Ok(())
}

pub(super) fn func(func: &Func) -> Result<(), Refusal> {
    if func.name.is_empty() {
        return Err(bad("Missing Fn name"));
    }
    if func.name.len() > NAME {
        return Err(bad("Fn name must be 255 characters or less"));
    }
    // Go's `url.PathEscape` leaves these as they are.
    let unescaped = |c: char| c.is_ascii_alphanumeric() || "-_.~$&+:=@".contains(c);
    if !func.name.chars().all(unescaped) {
        return Err(bad("name must be a valid string"));
    }
    if func.app_id.is_empty() {
        return Err(bad("Missing AppID on Fn"));
    }
    if func.image.is_empty() {
        return Err(bad("Missing image on Fn"));
    }
    if !(1..=300).contains(&func.timeout) {
        return Err(bad("timeout value is out of range, must be between 0 and 300"));
    }
    if !(1..=3600).contains(&func.idle_timeout) {
        return Err(bad("idle_timeout value is out of range, must be between 0 and 3600"));
    }
    if !(1..=8192).contains(&func.memory) {
        return Err(bad("memory value is out of range. It should be between 0 and 8192"));
    }
    annotations(&func.annotations)
}

pub(super) fn trigger(trigger: &Trigger) -> Result<(), Refusal> {
    if trigger.app_id.is_empty() {
        return Err(bad("Missing App ID on Trigger"));
    }
    if trigger.name.is_empty() {
        return Err(bad("Missing name on Trigger"));
    }
    if trigger.name.len() > NAME {
        return Err(bad("Trigger name must be 255 characters or less"));
    }
    if !is_plain(&trigger.name) {
        return Err(bad("Invalid name for Trigger"));
    }
    if trigger.fn_id.is_empty() {
        return Err(bad("Missing Fn ID on Trigger"));
    }
    if trigger.kind != "http" {
        return Err(bad("Trigger Type Not Supported"));
    }
    if trigger.source.is_empty() {
        return Err(bad("Missing Trigger Source"));
    }
    if !trigger.source.starts_with('/') {
        return Err(bad("Missing Trigger Source Prefix '/'"));
    }
    annotations(&trigger.annotations)
}

fn annotations(annotations: &Annotations) -> Result<(), Refusal> {
    for (key, value) in annotations {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad(
                "Invalid annotation key, annotation keys must be non-empty ascii strings excluding whitespace",
            ));
        }
        if key.len() > 128 {
            return Err(bad(
                "Invalid annotation key length, annotation keys may not be larger than 128 bytes",
            ));
        }
        if is_nothing(value) {
            return Err(bad(
                "Invalid annotation value, annotation values may only be non-empty strings, numbers, objects, or arrays",
            ));
        }
        if value.to_string().len() > 512 {
            return Err(bad(
                "Invalid annotation value length, annotation values may not be larger than 512 bytes when serialized as JSON",
            ));
        }
    }
    if annotations.len() > 100 {
        return Err(bad(
            "Invalid annotation change, new key(s) exceed maximum permitted number of annotations keys (100)",
        ));
    }
    Ok(())
}

/// Letters, digits, `_` and `-`.
fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}
