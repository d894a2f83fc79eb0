//! Trace context as the caller sent it: Zipkin B3 (what OCI APM uses) and W3C `traceparent`.

use crate::config::Config;
use crate::contract::env;
use http::HeaderMap;
use std::fmt;

/// The trace a call belongs to. Ids are empty strings where the caller sent none.
///
/// `Debug` does not show the collector's URL, which on OCI holds the key that spans are sent with.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceContext {
    /// Whether the platform has tracing switched on (`OCI_TRACING_ENABLED`).
    pub enabled: bool,
    /// Where spans are to be sent (`OCI_TRACE_COLLECTOR_URL`).
    pub collector_url: Option<String>,
    /// `app::function` in lower case, the name spans go by; `None` where the platform names neither.
    pub service_name: Option<String>,
    /// `X-B3-TraceId`, or the trace id of `traceparent`.
    pub trace_id: String,
    /// `X-B3-SpanId`, or the parent id of `traceparent`.
    pub span_id: String,
    /// `X-B3-ParentSpanId`.
    pub parent_span_id: String,
    /// `X-B3-Sampled`, or the flag of `traceparent`; true where neither says.
    pub sampled: bool,
    /// `X-B3-Flags`.
    pub flags: String,
    /// The whole `traceparent`, where it is well formed (W3C Trace Context, version 00 and later).
    pub traceparent: Option<String>,
    /// `tracestate`, to be passed on unread.
    pub tracestate: Option<String>,
}

impl TraceContext {
    pub(crate) fn read(config: &Config, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let parent = Traceparent::parse(text("traceparent"));
        let or_parent = |b3: &str, w3c: for<'a> fn(&Traceparent<'a>) -> &'a str| match (&parent, b3) {
            (Some(parent), "") => w3c(parent).to_owned(),
            _ => b3.to_owned(),
        };
        Self {
            enabled: config.get(env::TRACING_ENABLED).is_some_and(is_true),
            collector_url: config.get(env::TRACE_COLLECTOR_URL).filter(|url| !url.is_empty()).map(Into::into),
            service_name: service_name(config),
            trace_id: or_parent(text("x-b3-traceid"), |parent| parent.trace_id),
            span_id: or_parent(text("x-b3-spanid"), |parent| parent.span_id),
            parent_span_id: text("x-b3-parentspanid").into(),
            sampled: match text("x-b3-sampled") {
                "" => parent.as_ref().is_none_or(|parent| parent.sampled),
                value => is_true(value),
            },
            flags: text("x-b3-flags").into(),
            traceparent: parent.map(|parent| parent.whole.into()),
            tracestate: Some(text("tracestate")).filter(|state| !state.is_empty()).map(Into::into),
        }
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceContext")
            .field("enabled", &self.enabled)
            .field("service_name", &self.service_name)
            .field("trace_id", &self.trace_id)
            .field("span_id", &self.span_id)
            .field("sampled", &self.sampled)
            .finish_non_exhaustive()
    }
}

fn service_name(config: &Config) -> Option<String> {
    match (config.app_name(), config.fn_name()) {
        (None, None) => None,
        (app, function) => {
            Some(format!("{}::{}", app.unwrap_or_default(), function.unwrap_or_default()).to_lowercase())
        }
    }
}

fn is_true(value: &str) -> bool {
    matches!(value, "1") || value.eq_ignore_ascii_case("true") || value == "t" || value == "T"
}

struct Traceparent<'a> {
    whole: &'a str,
    trace_id: &'a str,
    span_id: &'a str,
    sampled: bool,
}

impl<'a> Traceparent<'a> {
    /// `version-trace_id-parent_id-flags`, lower-case hex, ids not all zero; a later version may have more fields.
    fn parse(whole: &'a str) -> Option<Self> {
        let mut fields = whole.split('-');
        let (version, trace_id, span_id, flags) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let id = |text: &str, length| hex(text, length) && text.bytes().any(|byte| byte != b'0');
        let complete = version != "00" || fields.next().is_none();
        let valid =
            hex(version, 2) && version != "ff" && id(trace_id, 32) && id(span_id, 16) && hex(flags, 2);
        if !(valid && complete) {
            return None;
        }
        let sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        Some(Self { whole, trace_id, span_id, sampled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &[(&str, &str)], headers: &[(&'static str, &str)]) -> TraceContext {
        let config = Config::from_pairs(config.iter().copied());
        let headers =
            headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        TraceContext::read(&config, &headers.collect())
    }

    #[test]
    fn b3_is_read_and_sampling_is_on_unless_said() {
        let trace = read(
            &[("OCI_TRACING_ENABLED", "1"), ("FN_APP_NAME", "MyApp"), ("FN_FN_NAME", "MyFn")],
            &[("x-b3-traceid", "t"), ("x-b3-spanid", "s"), ("x-b3-parentspanid", "p"), ("x-b3-flags", "0")],
        );
        assert!(trace.enabled && trace.sampled);
        assert_eq!(trace.service_name.as_deref(), Some("myapp::myfn"));
        assert_eq!((&*trace.trace_id, &*trace.span_id, &*trace.parent_span_id), ("t", "s", "p"));
        assert!(!read(&[], &[("x-b3-sampled", "0")]).sampled);
        assert!(!read(&[("OCI_TRACING_ENABLED", "0")], &[]).enabled);
    }

    #[test]
    fn w3c_fills_in_where_b3_is_silent() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let trace = read(&[], &[("traceparent", parent)]);
        assert_eq!(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((&*trace.span_id, trace.sampled), ("00f067aa0ba902b7", false));
        assert_eq!(trace.traceparent.as_deref(), Some(parent));
    }

    #[test]
    fn a_malformed_traceparent_is_none() {
        for bad in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(read(&[], &[("traceparent", bad)]).traceparent, None, "{bad}");
        }
    }
}
