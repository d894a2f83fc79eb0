//! What the demo tells: for a person, and as JSON for machines.

use crate::usage::Memory;
use serde_json::{Map, Value, json};
use std::fmt;
use std::time::Duration;

/// Everything the demo measured.
pub(crate) struct Report {
    pub(crate) function: String,
    pub(crate) model: String,
    pub(crate) sentences: Vec<String>,
    pub(crate) similarity: Vec<Vec<f32>>,
    pub(crate) width: usize,
    pub(crate) start: Option<Start>,
    pub(crate) socket: Duration,
    pub(crate) cold: Duration,
    pub(crate) first: Duration,
    pub(crate) latencies: Vec<Duration>,
    pub(crate) memory: Option<Memory>,
    pub(crate) granted_mb: u64,
}

/// The function's own start report.
pub(crate) struct Start(Map<String, Value>);

impl Start {
    /// The line that the runtime writes when it is ready, as JSON.
    pub(crate) fn from_logs(lines: &[String]) -> Option<Self> {
        let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut report =
            parsed.filter(|line| line["target"] == "fdk::start" && line["fields"]["message"] == "ready");
        match report.next()?["fields"].take() {
            Value::Object(fields) => Some(Self(fields)),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> String {
        match self.0.get(name) {
            None => "unknown".into(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    fn phases(&self) -> String {
        let phases = self.0.get("phases_ms").and_then(Value::as_object);
        let phases = phases.into_iter().flatten();
        phases.map(|(name, ms)| format!("{name} {ms}")).collect::<Vec<_>>().join(" · ")
    }
}

impl Report {
    pub(crate) fn to_json(&self) -> Value {
        let ms = |duration: Duration| (duration.as_secs_f64() * 1e5).round() / 1e2;
        json!({
            "function": self.function,
            "model": self.model,
            "dimensions": self.width,
            "sentences": self.sentences,
            "similarity": self.similarity,
            "start": self.start.as_ref().map(|start| &start.0),
            "latency_ms": {
                "exec_to_socket": ms(self.socket),
                "exec_to_first_reply": ms(self.cold),
                "first_call": ms(self.first),
                "one_sentence_median": ms(self.median()),
            },
            "memory": self.memory,
            "memory_granted_mb": self.granted_mb,
        })
    }

    fn median(&self) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bold = anstyle::Style::new().bold();
        let ms = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1e3);
        writeln!(
            f,
            "\n{bold}{}{bold:#} answered over its unix socket with {} dimensions of {}\n",
            self.function, self.width, self.model
        )?;
        writeln!(f, "{bold}cosine similarity{bold:#}")?;
        for (index, (sentence, row)) in self.sentences.iter().zip(&self.similarity).enumerate() {
            write!(f, "  {}", index + 1)?;
            for (column, cosine) in row.iter().enumerate() {
                let style = shade(index, column, *cosine);
                write!(f, "  {style}{cosine:>6.3}{style:#}")?;
            }
            writeln!(f, "   {sentence}")?;
        }
        if let Some(start) = &self.start {
            writeln!(f, "\n{bold}start{bold:#}       {} ms: {}", start.text("total_ms"), start.phases())?;
            writeln!(f, "            {} threads · {}", start.text("threads"), start.text("cpu"))?;
            writeln!(f, "{bold}principal{bold:#}   {}", start.text("principal"))?;
            if start.0.contains_key("principal_tenancy") {
                let (tenancy, region) = (start.text("principal_tenancy"), start.text("principal_region"));
                let left = start.text("principal_seconds_left");
                writeln!(f, "            tenancy {tenancy} · region {region} · {left} s left")?;
            }
        }
        writeln!(
            f,
            "{bold}latency{bold:#}     exec → socket {} · exec → first reply {}",
            ms(self.socket),
            ms(self.cold)
        )?;
        writeln!(
            f,
            "            five sentences {} · one sentence {} (median of {})",
            ms(self.first),
            ms(self.median()),
            self.latencies.len()
        )?;
        if let Some(memory) = self.memory {
            let mb = |kib: u64| kib.div_ceil(1024);
            writeln!(
                f,
                "{bold}memory{bold:#}      {} MB peak · {} MB now, {} of it private · {} MB granted",
                mb(memory.peak_kib),
                mb(memory.pss_kib),
                mb(memory.private_kib),
                self.granted_mb
            )?;
        }
        Ok(())
    }
}

/// A pair of like meaning stands out; a sentence is always like itself.
fn shade(row: usize, column: usize, cosine: f32) -> anstyle::Style {
    let style = anstyle::Style::new();
    if row == column {
        style.dimmed()
    } else if cosine > 0.4 {
        style.bold().fg_color(Some(anstyle::AnsiColor::Green.into()))
    } else {
        style
    }
}
