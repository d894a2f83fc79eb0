//! HTML: the page, its tables, and one call.

use super::{access, chart, form, phases};
use crate::calls::Record;
use crate::platform::Platform;
use crate::pool::{Condition, Seen};
use crate::server::Doors;
use crate::store::Window;
use crate::store::model::Func;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Calls in the table.
const SHOWN: usize = 40;
const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>cargo fdk</title>\
<link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/page/style.css\"></head><body>";

/// Text that means nothing to a browser.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The whole page.
pub(super) fn page(platform: &Platform, doors: &Doors) -> String {
    format!(
        "{HEAD}<h1>Functions on this machine</h1><p id=\"lost\" class=\"bad\" role=\"alert\" hidden>The platform has stopped.</p>\
         <main><div id=\"live\">{}</div>{}</main><script src=\"/page/script.js\"></script></body></html>",
        live(platform, doors),
        form::render(platform, doors)
    )
}

/// What changes by itself.
pub(super) fn live(platform: &Platform, doors: &Doors) -> String {
    let calls = platform.calls.all();
    let charts = format!(
        "<h2>Times</h2><div class=\"charts\">{}{}</div>",
        chart::latencies(&calls),
        chart::starts(&calls)
    );
    let access = doors.oci.as_ref().map(|oci| access::render(platform, oci)).unwrap_or_default();
    format!("{}{}{access}{charts}", functions(platform), table(&calls))
}

fn functions(platform: &Platform) -> String {
    let seen = platform.pool.seen();
    let mut html = "<h2>Functions</h2><div class=\"wide\"><table><thead><tr><th>Function<th>Containers\
        <th class=\"optional\">Image<th>Memory granted</thead><tbody>"
        .to_owned();
    let funcs = funcs(platform);
    for (app, func) in &funcs {
        let _ = write!(
            html,
            "<tr><td>{}<span class=\"faint\"> in {}</span><td>{}<td class=\"optional\"><code>{}</code><td class=\"number\">{} MB",
            escape(&func.name),
            escape(app),
            containers(&func.id, &seen, platform.pool.ended(&func.id)),
            escape(&func.image),
            func.memory
        );
    }
    if funcs.is_empty() {
        html.push_str(
            "<tr><td colspan=\"4\" class=\"faint\">None yet: <code>cargo fdk start DIR</code> builds some.",
        );
    }
    html + "</tbody></table></div>"
}

/// Each function, and its application's name.
pub(super) fn funcs(platform: &Platform) -> Vec<(String, Func)> {
    let apps = platform.store.apps(None, &Window::whole()).items;
    let of = |app: &crate::store::model::App| {
        let page = platform.store.funcs(&app.id, None, &Window::whole());
        page.into_iter().flat_map(|page| page.items).collect::<Vec<_>>()
    };
    apps.iter().flat_map(|app| of(app).into_iter().map(|func| (app.name.clone(), func))).collect()
}

fn containers(function: &str, seen: &[Seen], ended: u64) -> String {
    let mut html = String::new();
    for container in seen.iter().filter(|container| container.function == function) {
        let name = match container.condition {
            Condition::Starting => "starting",
            Condition::Busy => "busy",
            Condition::Warm => "warm",
            Condition::Frozen => "frozen",
        };
        let memory = container.memory.map(|memory| format!(" {} MB", memory.pss_kib.div_ceil(1024)));
        let pid = container.pid.map(|pid| format!("process {pid}, {} calls", container.calls));
        let _ = write!(
            html,
            "<span class=\"chip {name}\" title=\"{}\">{name}{}</span>",
            pid.unwrap_or_default(),
            memory.unwrap_or_default()
        );
    }
    if html.is_empty() {
        html.push_str("<span class=\"chip cold\">cold</span>");
    }
    if ended > 0 {
        let _ = write!(html, "<span class=\"chip dead\">{ended} dead</span>");
    }
    html
}

fn table(calls: &[Arc<Record>]) -> String {
    let mut html = "<h2>Calls</h2><p class=\"legend faint\">".to_owned();
    for name in ["queue", "start", "load", "inference", "reply"] {
        let _ = write!(html, "<i class=\"{name}\"></i>{name}");
    }
    html.push_str("</p><div class=\"wide\"><table><thead><tr><th>Call<th>Function<th>Status<th>Time<th>Parts<th class=\"optional\">Memory</thead><tbody>");
    for record in calls.iter().rev().take(SHOWN) {
        let id = escape(&record.id);
        let memory = record.memory_kib.map_or_else(String::new, |kib| format!("{} MB", kib.div_ceil(1024)));
        let _ = write!(
            html,
            "<tr><td><a href=\"/page/calls/{id}\"><code>{}</code></a><td>{}<td class=\"{}\">{}<td class=\"number\">{} {}<td>{}<td class=\"number optional\">{memory}",
            id.get(16..).unwrap_or(&id),
            escape(&record.name),
            if record.status >= 400 { "bad" } else { "" },
            record.status,
            ms(record.took()),
            if record.cold { "cold" } else { "warm" },
            bar(record)
        );
    }
    if calls.is_empty() {
        html.push_str("<tr><td colspan=\"6\" class=\"faint\">None yet.");
    }
    html + "</tbody></table></div>"
}

fn bar(record: &Record) -> String {
    let whole = record.took().as_secs_f64().max(1e-9);
    let mut html = "<div class=\"bar\">".to_owned();
    for (name, took) in phases::of(record) {
        let share = took.as_secs_f64() / whole * 100.0;
        let _ = write!(
            html,
            "<i class=\"{name}\" style=\"width:{share:.1}%\" title=\"{name} {}\"></i>",
            ms(took)
        );
    }
    html + "</div>"
}

/// One call, with what the function printed.
pub(super) fn call(record: &Record) -> String {
    let mut html = format!(
        "{HEAD}<p><a href=\"/\">All calls</a></p><h1>Call <code>{}</code></h1><p>{} answered <span class=\"{}\">{}</span> in {}, {}, {} bytes in and {} out.</p>",
        escape(&record.id),
        escape(&record.name),
        if record.status >= 400 { "bad" } else { "" },
        record.status,
        ms(record.took()),
        if record.cold { "cold" } else { "warm" },
        record.request,
        record.reply
    );
    if !record.fault.is_empty() {
        let _ = write!(html, "<p class=\"bad\">{}</p>", escape(&record.fault));
    }
    html.push_str(&bar(record));
    html.push_str("<table><tbody>");
    for (name, took) in phases::of(record) {
        let _ = write!(html, "<tr><th>{name}<td class=\"number\">{}", ms(took));
    }
    let lines = record.logs.lines();
    let printed = if lines.is_empty() { "It printed nothing.".to_owned() } else { lines.join("\n") };
    let _ =
        write!(html, "</tbody></table><h2>Log</h2><pre id=\"log\">{}</pre></body></html>", escape(&printed));
    html
}

fn ms(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_says_is_no_markup() {
        let record = Record { id: "<b>".into(), fault: "<script>\"'&".into(), ..Record::default() };
        let html = call(&record);
        assert!(html.contains("&lt;script&gt;&quot;&#39;&amp;") && !html.contains("<b>"), "{html}");
    }
}
