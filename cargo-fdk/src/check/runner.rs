//! Which cases there are, and running them: one process each, the waiting ones beside the others.

use super::case::{Case, Stop};
use super::launch::Subject;
use super::{connection, gateway, lifecycle, refusal, request, response, sandbox, startup, telemetry};
use futures_util::future::join_all;
use std::time::{Duration, Instant};

/// The number of the last case.
pub(super) const LAST: u8 = 88;

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Pass,
    Fail,
    Skip,
}

/// A case that was run, or not.
pub(super) struct Judged {
    pub(super) case: &'static Case,
    pub(super) outcome: Outcome,
    pub(super) detail: String,
}

/// Every case, in the order of their numbers.
pub(super) fn cases() -> Vec<&'static Case> {
    let groups = [
        startup::CASES,
        refusal::CASES,
        sandbox::CASES,
        request::CASES,
        connection::CASES,
        response::CASES,
        gateway::CASES,
        lifecycle::CASES,
        telemetry::CASES,
    ];
    let mut cases: Vec<&Case> = groups.into_iter().flatten().collect();
    cases.sort_by_key(|case| case.number);
    cases
}

/// Runs the cases; `told` hears the name of each as it begins.
pub(super) async fn run(
    subject: &Subject,
    cases: Vec<&'static Case>,
    told: impl Fn(&'static Case),
) -> Vec<Judged> {
    let (waiting, others): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.waits);
    let waiting = join_all(waiting.into_iter().map(|case| judge(subject, case)));
    let others = async {
        let mut judged = Vec::new();
        for case in others {
            told(case);
            judged.push(judge(subject, case).await);
        }
        judged
    };
    let (mut judged, others) = tokio::join!(waiting, others);
    judged.extend(others);
    judged.sort_by_key(|judged| judged.case.number);
    judged
}

/// More than any case takes, for a function that neither answers nor ends.
const CASE_LIMIT: Duration = Duration::from_mins(5);

async fn judge(subject: &Subject, case: &'static Case) -> Judged {
    if case.needs_probe && !subject.probe {
        let detail = "needs --probe: a function that speaks the probe's request format".into();
        return Judged { case, outcome: Outcome::Skip, detail };
    }
    let began = Instant::now();
    let verdict = tokio::time::timeout(CASE_LIMIT, (case.judge)(subject)).await;
    let (outcome, detail) = match verdict {
        Ok(Ok(detail)) => (Outcome::Pass, detail),
        Ok(Err(Stop::Fail(why))) => (Outcome::Fail, why),
        Ok(Err(Stop::Skip(why))) => (Outcome::Skip, why),
        Err(_) => (Outcome::Fail, format!("no verdict after {} s", began.elapsed().as_secs())),
    };
    Judged { case, outcome, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_the_contract_is_there_once() {
        let numbers: Vec<u8> = cases().iter().map(|case| case.number).collect();
        assert_eq!(numbers, (1..=LAST).collect::<Vec<_>>());
    }

    #[test]
    fn names_differ() {
        let names: std::collections::BTreeSet<_> = cases().iter().map(|case| case.name).collect();
        assert_eq!(names.len(), usize::from(LAST));
    }
}
