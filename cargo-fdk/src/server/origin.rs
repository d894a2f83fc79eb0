//! Whose requests may change what there is: not those of pages from elsewhere, which any browser on this machine shows.
//!
//! A page sends its origin with whatever changes something; and one that had its own name resolve to this machine gives
//! itself away by that name. Calls of functions are free to all, as on the real server.

use http::{HeaderMap, header};

/// Whether a request names this machine as its host, and comes from no page but this host's.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        // No browser leaves it out.
        return true;
    };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&name) || name.ends_with(".localhost");
    let from = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    local && from.is_none_or(|from| from.strip_prefix("http://") == Some(host))
}

#[cfg(test)]
mod tests {
    use super::is_own;
    use http::HeaderMap;

    #[test]
    fn other_names_and_other_pages_are_not_ours() {
        let own = |host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("host", host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert("origin", origin.parse().unwrap());
            }
            is_own(&headers)
        };
        assert!(own("localhost:8080", None) && own("127.0.0.1", None) && own("[::1]:1", None));
        assert!(own("localhost:8080", Some("http://localhost:8080")));
        assert!(!own("evil.example:8080", None) && !own("localhost.evil.example", None));
        assert!(!own("localhost:8080", Some("https://evil.example")));
        assert!(!own("localhost:8080", Some("http://localhost:3000")) && !own("localhost", Some("null")));
    }
}
