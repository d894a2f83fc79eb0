//! Headers that belong to one connection, which the agent passes on in neither direction (`common.StripHopHeaders`).

use http::HeaderMap;

const HOP: [&str; 8] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Takes them away. `TE` stays when it is exactly `trailers`.
pub(crate) fn strip(headers: &mut HeaderMap) {
    for name in HOP {
        headers.remove(name);
    }
    if headers.get("te").is_some_and(|te| te != "trailers") {
        headers.remove("te");
    }
}

#[cfg(test)]
mod tests {
    use super::strip;
    use http::HeaderMap;

    #[test]
    fn what_is_the_callers_stays() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("keep-alive", "5"), ("te", "gzip"), ("x-mine", "v"), ("upgrade", "h2c")] {
            headers.insert(name, value.parse().unwrap());
        }
        strip(&mut headers);
        assert_eq!(headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-mine"]);
        headers.insert("te", "trailers".parse().unwrap());
        strip(&mut headers);
        assert!(headers.contains_key("te"));
    }
}
