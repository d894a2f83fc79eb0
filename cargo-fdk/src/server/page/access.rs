//! Who asked for what, what the policies said, and which identities there are.

use super::render::escape;
use crate::oci::{Oci, Verdict};
use crate::platform::Platform;
use std::fmt::Write as _;
use std::time::SystemTime;

/// Decisions in the table.
const SHOWN: usize = 40;

pub(super) fn render(platform: &Platform, oci: &Oci) -> String {
    format!("{}{}", decisions(oci), principals(platform, oci))
}

fn decisions(oci: &Oci) -> String {
    let mut html = "<h2>Callers and decisions</h2><div class=\"wide\"><table id=\"decisions\"><thead><tr><th>Caller<th>Operation\
        <th class=\"optional\">On<th>Decision<th>Why</thead><tbody>"
        .to_owned();
    let all = oci.decisions.all();
    for decision in all.iter().rev().take(SHOWN) {
        let (verdict, kind) = match decision.verdict {
            Verdict::Allowed => ("allowed", ""),
            Verdict::Denied => ("denied", "bad"),
            Verdict::Unauthenticated => ("not authenticated", "bad"),
        };
        let caller = if decision.caller.is_empty() { "unknown" } else { &decision.caller };
        let _ = write!(
            html,
            "<tr><td class=\"id\">{}<td>{}<td class=\"id optional\">{}<td class=\"{kind}\">{verdict}<td>{}",
            escape(caller),
            escape(&decision.operation),
            escape(&decision.target),
            escape(&decision.why)
        );
    }
    if all.is_empty() {
        html.push_str("<tr><td colspan=\"5\" class=\"faint\">Nobody has asked yet.");
    }
    html + "</tbody></table></div>"
}

fn principals(platform: &Platform, oci: &Oci) -> String {
    let mut html =
        "<h2>Principals</h2><div class=\"wide\"><table id=\"principals\"><thead><tr><th>Who<th>Identity\
        <th>Its token is good for</thead><tbody>"
            .to_owned();
    let issued = oci.principals().issued_to();
    for (id, until) in &issued {
        let func = platform.store.func(id).ok();
        let name = func.as_ref().map_or("a session of a user", |func| func.name.as_str());
        let left = until.duration_since(SystemTime::now()).unwrap_or_default().as_secs();
        let identity = if func.is_some() { crate::oci::function_ocid(id) } else { id.clone() };
        let _ = write!(
            html,
            "<tr><td>{}<td class=\"id\">{}<td class=\"number\">{left} s",
            escape(name),
            escape(&identity)
        );
    }
    if issued.is_empty() {
        html.push_str("<tr><td colspan=\"3\" class=\"faint\">None yet: a function gets its own when its first container starts.");
    }
    html + "</tbody></table></div>"
}
