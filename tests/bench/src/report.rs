//! The table and the JSON.

use crate::function::Memory;
use crate::measure::{Calls, Figures, Measured};
use crate::peers::Peer;
use crate::stats::{median, paired_ratio, quantile};
use serde_json::{Map, Value, json};

/// A figure that a peer may have, by its name in the JSON and its head in the table.
struct Column(&'static str, &'static str, fn(&Figures) -> Option<f64>);

const COLUMNS: [Column; 10] = [
    Column("p50_1kb_us", "1KB p50 µs", |figures| at(&figures.small, 0.5)),
    Column("p99_1kb_us", "p99", |figures| at(&figures.small, 0.99)),
    Column("calls_per_second", "calls/s", |figures| some(median(&figures.small.round_rate))),
    Column("cpu_1kb_us", "CPU µs", |figures| some(median(&figures.small.round_cpu_micros))),
    Column("p50_1mb_us", "1MB p50 µs", |figures| at(&figures.large, 0.5)),
    Column("p99_1mb_us", "p99", |figures| at(&figures.large, 0.99)),
    Column("spawn_to_socket_ms", "socket ms", |figures| some(median(&figures.socket_ms))),
    Column("spawn_to_first_reply_ms", "reply ms", |figures| some(median(&figures.first_reply_ms))),
    Column("rss_kib", "RSS KiB", |figures| kib(figures, |memory| memory.rss)),
    Column("private_kib", "private", |figures| kib(figures, |memory| memory.private)),
];

/// What is divided by what, and the most it should be.
const AIMS: [(&str, f64); 3] = [("hyper_inline", 1.6), ("hyper_thread", 1.1), ("python_fdk", 0.1)];
const SOCKET_AIM_MS: f64 = 3.0;
const RSS_AIM_KIB: f64 = 4096.0;

pub(crate) fn table(peers: &[Peer], measured: &[Measured], machine: &Map<String, Value>) {
    for (name, value) in machine {
        println!("{name:>12}  {}", value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned));
    }
    print!("\n{:22}", "");
    for Column(_, head, _) in COLUMNS {
        print!(" {head:>10}");
    }
    println!();
    for (peer, measured) in peers.iter().zip(measured) {
        print!("{:22}", peer.label);
        match measured {
            Ok(figures) => {
                for Column(_, _, figure) in COLUMNS {
                    print!(" {:>10}", cell(figure(figures)));
                }
            }
            Err(why) => print!(" NOT RUN: {why}"),
        }
        println!();
    }
    println!("\n{:46} {:>8} {:>8}", "aim", "at most", "is");
    for (what, aim, is) in verdicts(peers, measured) {
        let verdict = match is {
            None => "NOT RUN",
            Some(is) if is <= aim => "met",
            Some(_) => "MISSED",
        };
        println!(
            "{what:46} {aim:>8} {:>8} {verdict}",
            is.map_or_else(|| "-".into(), |is| format!("{is:.3}"))
        );
    }
}

pub(crate) fn json(
    peers: &[Peer],
    measured: &[Measured],
    machine: &Map<String, Value>,
    quick: bool,
) -> Value {
    let servers = peers.iter().zip(measured).map(|(peer, measured)| {
        let figures = match measured {
            Ok(figures) => COLUMNS
                .iter()
                .map(|Column(name, _, figure)| ((*name).into(), json!(figure(figures))))
                .collect(),
            Err(why) => Map::from_iter([("not_run".to_owned(), json!(why))]),
        };
        (peer.id.to_owned(), Value::Object(figures))
    });
    let aims = verdicts(peers, measured).into_iter().map(
        |(what, aim, is)| json!({"what": what, "at_most": aim, "is": is, "met": is.map(|is| is <= aim)}),
    );
    json!({
        "machine": machine,
        "quick": quick,
        "servers": servers.collect::<Map<_, _>>(),
        "aims": aims.collect::<Vec<_>>(),
    })
}

/// Every aim with what was measured; `None` where a side was not.
fn verdicts(peers: &[Peer], measured: &[Measured]) -> Vec<(String, f64, Option<f64>)> {
    let find = |id: &str| {
        let (peer, measured) = peers.iter().zip(measured).find(|(peer, _)| peer.id == id)?;
        Some((peer.label, measured.as_ref().ok()))
    };
    let mut verdicts = Vec::new();
    for ours in ["ours", "ours_logging"] {
        for large in [false, true] {
            let size = if large { "1 MB" } else { "1 KB" };
            let calls = |figures: &Figures| {
                let calls = if large { &figures.large } else { &figures.small };
                calls.round_micros.clone()
            };
            for (theirs, aim) in AIMS {
                let (Some((label, ours)), Some((peer, theirs))) = (find(ours), find(theirs)) else {
                    continue;
                };
                let ratio = ours.zip(theirs).map(|(ours, theirs)| paired_ratio(&calls(ours), &calls(theirs)));
                verdicts.push((format!("{size}: {label} / {peer}"), aim, ratio));
            }
        }
    }
    for id in ["ours", "hello"] {
        let Some((label, figures)) = find(id) else { continue };
        let socket = figures.map(|figures| median(&figures.socket_ms));
        verdicts.push((format!("spawn to socket, ms: {label}"), SOCKET_AIM_MS, socket));
    }
    if let Some((label, figures)) = find("hello") {
        let rss = figures.and_then(|figures| kib(figures, |memory| memory.rss));
        verdicts.push((format!("RSS after 1000 calls, KiB: {label}"), RSS_AIM_KIB, rss));
    }
    verdicts
}

fn at(calls: &Calls, share: f64) -> Option<f64> {
    some(quantile(&calls.micros, share))
}

fn some(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn kib(figures: &Figures, part: fn(&Memory) -> u64) -> Option<f64> {
    figures.memory.as_ref().map(|memory| part(memory) as f64)
}

fn cell(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value < 100.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.0}"),
    }
}
