//! A request's query, decoded.

use super::fault::Fault;

/// Names and values, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The value of a name, where it is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The same, of a name that must be there.
    pub(super) fn require(&self, name: &str) -> Result<&str, Fault> {
        self.get(name).ok_or_else(|| Fault::missing(name))
    }

    /// `limit`: from 1 to `most`, which it is when it is not there.
    pub(super) fn limit(&self, most: usize) -> Result<usize, Fault> {
        match self.get("limit").map(str::parse::<usize>) {
            None => Ok(most),
            Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
            Some(_) => Err(Fault::invalid(format!("limit must be a number from 1 to {most}"))),
        }
    }
}
