//! What the suite tells: a table for a person, JSON for machines.

use super::case::Level;
use super::runner::{Judged, Outcome};
use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use std::fmt;

/// All that was judged.
pub(super) struct Table {
    pub(super) rows: Vec<Judged>,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        }
    }

    fn style(self) -> Style {
        let color = match self {
            Self::Pass => AnsiColor::Green,
            Self::Fail => AnsiColor::Red,
            Self::Skip => AnsiColor::Yellow,
        };
        Style::new().fg_color(Some(color.into()))
    }
}

impl Table {
    fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }

    /// How many cases failed that the agent, or the contract, demands.
    pub(super) fn required_failed(&self) -> usize {
        let failed = self.rows.iter().filter(|row| row.outcome == Outcome::Fail);
        failed.filter(|row| row.case.level == Level::Required).count()
    }

    pub(super) fn to_json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "case": row.case.number, "name": row.case.name, "level": row.case.level.letter(),
                    "result": row.outcome.word(), "detail": row.detail,
                })
            })
            .collect();
        json!({
            "cases": rows,
            "summary": {
                "passed": self.count(Outcome::Pass), "failed": self.count(Outcome::Fail),
                "skipped": self.count(Outcome::Skip), "required_failed": self.required_failed(),
            },
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.case.name.len()).max().unwrap_or_default();
        for row in &self.rows {
            let style = row.outcome.style();
            let line = format!(
                "{:>2}  {:width$}  {}  {style}{}{style:#}  {}",
                row.case.number,
                row.case.name,
                row.case.level.letter(),
                row.outcome.word(),
                row.detail
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        let (failed, required) = (self.count(Outcome::Fail), self.required_failed());
        let style = if required > 0 { Outcome::Fail.style() } else { Style::new() };
        writeln!(
            f,
            "\n{} passed, {style}{failed} failed{style:#} ({required} of them required), {} skipped",
            self.count(Outcome::Pass),
            self.count(Outcome::Skip)
        )
    }
}
