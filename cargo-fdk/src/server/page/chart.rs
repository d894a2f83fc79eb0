//! Two charts, drawn as SVG: a dot for each call by its time, and one for each cold start.

use crate::calls::Record;
use std::fmt::Write as _;
use std::sync::Arc;

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 110.0;
const EDGE: f64 = 24.0;

/// The times of the last calls, in their order; slower is higher, on a logarithmic scale.
pub(super) fn latencies(calls: &[Arc<Record>]) -> String {
    let dots: Vec<_> = calls
        .iter()
        .map(|record| {
            let kind = match record {
                record if record.status >= 400 => "dot failed",
                record if record.cold => "dot cold",
                _ => "dot",
            };
            (record.took().as_secs_f64() * 1e3, kind, record.name.as_str())
        })
        .collect();
    draw("Latency of calls, ms", &dots)
}

/// From the start of a process to its socket.
pub(super) fn starts(calls: &[Arc<Record>]) -> String {
    let cold = calls.iter().filter(|record| !record.start.is_zero());
    let dots: Vec<_> =
        cold.map(|record| (record.start.as_secs_f64() * 1e3, "dot cold", record.name.as_str())).collect();
    draw("Cold starts, process to socket, ms", &dots)
}

fn draw(title: &str, dots: &[(f64, &str, &str)]) -> String {
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">");
    let bounds = dots.iter().map(|(ms, ..)| ms.max(0.01).log10());
    let (low, high) = bounds.fold((f64::MAX, f64::MIN), |(low, high), ms| (low.min(ms), high.max(ms)));
    let (low, high) =
        if dots.is_empty() { (0.0, 1.0) } else { (low.floor(), high.ceil().max(low.floor() + 1.0)) };
    let y =
        |ms: f64| HEIGHT - EDGE / 2.0 - (ms.max(0.01).log10() - low) / (high - low) * (HEIGHT - EDGE * 1.5);
    for (name, ms) in [("low", 10f64.powf(low)), ("high", 10f64.powf(high))] {
        let at = y(ms);
        let _ = write!(
            svg,
            "<line x1=\"{EDGE}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"2\" y=\"{:.1}\" data-end=\"{name}\">{ms}</text>",
            at + 3.0
        );
    }
    let step = (WIDTH - EDGE - 10.0) / f64::from(u32::try_from(dots.len()).unwrap_or(u32::MAX)).max(1.0);
    let mut x = EDGE + 5.0;
    for (ms, kind, name) in dots {
        let name = super::render::escape(name);
        let _ = write!(
            svg,
            "<circle class=\"{kind}\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3\"><title>{name} {ms:.1} ms</title></circle>",
            y(*ms)
        );
        x += step;
    }
    let _ = write!(svg, "<text x=\"{EDGE}\" y=\"10\">{title}</text></svg>");
    svg
}
