//! The variables of conditions and of matching rules: those with a value here, and those that are only documented.

/// What is known of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It has a value where it applies.
    Evaluated,
    /// OCI documents it; it never has a value here.
    Documented,
    /// As that, and it can be compared as times are.
    Time,
    /// As that: a defined tag.
    Tag,
}

/// The variables of one kind of condition.
#[derive(Debug)]
pub(super) struct Vocabulary {
    evaluated: &'static [&'static str],
    documented: &'static [&'static str],
    /// Beginnings of tag variables, which end in `NAMESPACE.KEY`, or in `NAMESPACE.KEY.value`.
    tags: &'static [&'static str],
    /// Whether it is a matching rule: it knows no lists and no patterns, and a tag may stand alone.
    rule: bool,
}

/// Of `where` conditions.
pub(super) const WHERE: Vocabulary = Vocabulary {
    evaluated: &[
        "request.groups.id",
        "request.operation",
        "request.permission",
        "request.principal.compartment.id",
        "request.principal.id",
        "request.principal.type",
        "request.region",
        "request.resource.compartment.id",
        "request.user.id",
        "request.user.name",
        "target.app.id",
        "target.bucket.name",
        "target.compartment.id",
        "target.compartment.name",
        "target.function.id",
        "target.object.name",
        "target.secret.id",
        "target.secret.name",
    ],
    documented: &[
        "request.ad",
        "request.networksource.name",
        "request.user.mfatotpverified",
        "target.group.id",
        "target.group.name",
        "target.key.id",
        "target.model.id",
        "target.policy.id",
        "target.policy.name",
        "target.repo.name",
        "target.user.id",
        "target.user.name",
        "target.vault.id",
        "target.workrequest.type",
    ],
    tags: &[
        "request.principal.compartment.tag.",
        "request.principal.group.tag.",
        "target.bucket.tag.",
        "target.resource.compartment.tag.",
        "target.resource.tag.",
    ],
    rule: false,
};

/// Of matching rules.
pub(super) const RULE: Vocabulary = Vocabulary {
    evaluated: &["resource.compartment.id", "resource.id", "resource.type"],
    documented: &["instance.compartment.id", "instance.id"],
    tags: &["tag."],
    rule: true,
};

impl Vocabulary {
    /// What is known of a variable, whose name is in lower case.
    pub(super) fn find(&self, variable: &str) -> Option<Known> {
        let tag = || {
            let rest = self.tags.iter().find_map(|prefix| variable.strip_prefix(prefix))?;
            let names: Vec<&str> = rest.split('.').collect();
            match (self.rule, names.as_slice()) {
                (false, [namespace, key]) | (true, [namespace, key, "value"]) => {
                    (!namespace.is_empty() && !key.is_empty()).then_some(Known::Tag)
                }
                _ => None,
            }
        };
        if self.evaluated.contains(&variable) {
            Some(Known::Evaluated)
        } else if self.documented.contains(&variable) {
            Some(Known::Documented)
        } else if !self.rule && TIMES.contains(&variable) {
            Some(Known::Time)
        } else {
            tag()
        }
    }

    pub(super) fn has_lists(&self) -> bool {
        !self.rule
    }

    pub(super) fn has_bare_tags(&self) -> bool {
        self.rule
    }

    /// `; did you mean X?`, where one is near enough.
    pub(super) fn near(&self, variable: &str) -> String {
        nearest(variable, self.evaluated.iter().chain(self.documented).copied())
    }
}

const TIMES: [&str; 5] = [
    "request.utc-timestamp",
    "request.utc-timestamp.day-of-month",
    "request.utc-timestamp.day-of-week",
    "request.utc-timestamp.month-of-year",
    "request.utc-timestamp.time-of-day",
];

/// `; did you mean X?` for the word that differs in at most two letters.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let word = word.to_ascii_lowercase();
    let near = known.map(|known| (distance(&word, &known.to_ascii_lowercase()), known)).min();
    match near {
        Some((1..=2, known)) => format!("; did you mean {known}?"),
        _ => String::new(),
    }
}

/// Levenshtein's distance, of words that are short.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(80).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let cost = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_evaluated_or_documented_or_refused() {
        assert_eq!(WHERE.find("target.function.id"), Some(Known::Evaluated));
        assert_eq!(WHERE.find("request.utc-timestamp.day-of-week"), Some(Known::Time));
        assert_eq!(WHERE.find("target.resource.tag.ops.team"), Some(Known::Tag));
        assert_eq!(WHERE.find("target.resource.tag.ops"), None);
        assert_eq!(WHERE.find("target.fnfunc.id"), None);
        assert_eq!(WHERE.near("target.functoin.id"), "; did you mean target.function.id?");
        assert_eq!(RULE.find("tag.ops.team.value"), Some(Known::Tag));
        assert_eq!(RULE.find("request.utc-timestamp"), None);
        assert_eq!(RULE.find("instance.id"), Some(Known::Documented));
    }
}
