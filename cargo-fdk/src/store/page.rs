//! Lists in pieces: a cursor is the last name of the piece before, in base64 (`api/datastore/sql`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

/// Which piece of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    after: String,
    most: usize,
}

/// A piece of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page<T> {
    /// Where the next piece begins; none when this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// In the order of their names.
    pub items: Vec<T>,
}

impl Window {
    /// From the query `cursor` and `per_page`: 30 unless said, at most 100. `None` when the cursor is none of ours.
    pub fn parse(cursor: &str, per_page: &str) -> Option<Self> {
        let after = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let most = match per_page.parse::<i64>() {
            Ok(most @ 1..) => usize::try_from(most.min(100)).ok()?,
            _ => 30,
        };
        Some(Self { after, most })
    }

    /// Everything.
    pub fn whole() -> Self {
        Self { after: String::new(), most: usize::MAX }
    }

    pub(super) fn of<'a, T: Clone + 'a>(
        &self,
        found: impl Iterator<Item = &'a T>,
        name: impl Fn(&T) -> &String,
    ) -> Page<T> {
        let mut found: Vec<&T> =
            found.filter(|item| *name(item) > self.after || self.after.is_empty()).collect();
        found.sort_by(|a, b| name(a).cmp(name(b)));
        found.truncate(self.most);
        let full = found.len() == self.most;
        let next_cursor = found.last().filter(|_| full).map(|last| URL_SAFE_NO_PAD.encode(name(last)));
        Page { next_cursor, items: found.into_iter().cloned().collect() }
    }
}
