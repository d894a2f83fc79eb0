//! Who invoked the function, as OCI tells it, and a guard on that.

use fdk_runtime::{Call, Error, Result};

/// Who invoked the function on OCI (`Oci-Subject-*`).
///
/// These headers can be trusted only from the platform's own socket: OCI sets them after it has authenticated the
/// caller, and it passes no header of that name on from the caller. The open-source Fn server and `cargo fdk invoke`
/// authenticate nobody, and there a caller could send them; do not read them as proof off OCI.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// `user` for a person's or an instance's request, `resource` for an OCI service such as API Gateway.
    pub kind: String,
    /// The OCID of the user or resource.
    pub id: String,
    /// The OCID of its tenancy; empty where OCI does not say.
    pub tenancy: String,
    /// The OCID of its compartment; empty where OCI does not say.
    pub compartment: String,
    /// The id under which OCI's own logs have the request; empty where OCI does not say.
    pub request_id: String,
}

impl Caller {
    /// `None` off OCI, where no subject is named.
    pub(crate) fn of(call: &Call) -> Option<Self> {
        let text = |name| {
            call.envelope().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (kind, id) = (text("oci-subject-type"), text("oci-subject-id"));
        if kind.is_empty() || id.is_empty() {
            return None;
        }
        let (tenancy, compartment) = (text("oci-subject-tenancy-id"), text("oci-subject-compartment-id"));
        Some(Self { kind, id, tenancy, compartment, request_id: text("opc-request-id") })
    }
}

/// What a caller must be; what is not named may be anything.
///
/// ```
/// # use fdk::{AllowCaller, Context, Result};
/// async fn report(cx: Context, _: ()) -> Result<&'static str> {
///     cx.allow(AllowCaller::kind("user").tenancy("ocid1.tenancy.oc1..example"))?;
///     Ok("for users of the tenancy")
/// }
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "a guard does nothing until `Context::allow`"]
pub struct AllowCaller<'a> {
    kind: Option<&'a str>,
    tenancy: Option<&'a str>,
    compartment: Option<&'a str>,
}

impl<'a> AllowCaller<'a> {
    /// Callers of this type: `user` or `resource`.
    pub fn kind(kind: &'a str) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// Callers of this tenancy.
    pub fn tenancy(self, tenancy: &'a str) -> Self {
        Self { tenancy: Some(tenancy), ..self }
    }

    /// Callers of this compartment.
    pub fn compartment(self, compartment: &'a str) -> Self {
        Self { compartment: Some(compartment), ..self }
    }

    /// The caller, or an error of status 403 that says what it lacks.
    pub(crate) fn check(self, call: &Call) -> Result<Caller> {
        let refuse = |why: String| Err(Error::input(why).status(403));
        let Some(caller) = Caller::of(call) else {
            return refuse(
                "the platform names no caller: this function answers authenticated callers only".into(),
            );
        };
        let demands = [
            ("type", self.kind, &caller.kind),
            ("tenancy", self.tenancy, &caller.tenancy),
            ("compartment", self.compartment, &caller.compartment),
        ];
        for (what, demanded, is) in demands {
            if demanded.is_some_and(|demanded| demanded != is) {
                return refuse(format!("this function does not answer callers of {what} '{is}'"));
            }
        }
        Ok(caller)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestCall, function};
    use crate::{AllowCaller, Context, Result};

    async fn guarded(cx: Context, (): ()) -> Result<String> {
        let caller = cx.allow(AllowCaller::kind("user").tenancy("t1"))?;
        Ok(format!("{} {}", caller.id, caller.request_id))
    }

    fn by<'a>(call: TestCall<'a>, kind: &str, tenancy: &str) -> TestCall<'a> {
        call.header("oci-subject-type", kind)
            .header("oci-subject-id", "u1")
            .header("oci-subject-tenancy-id", tenancy)
            .header("opc-request-id", "/a/b")
    }

    #[tokio::test]
    async fn only_the_demanded_caller_is_answered() {
        let function = function(guarded);
        let gateway = || function.http("GET", "/");
        let reply = by(gateway(), "user", "t1").call().await;
        assert_eq!((reply.status(), reply.text()), (200, "u1 /a/b"));
        for (call, message) in [
            (by(gateway(), "resource", "t1"), "this function does not answer callers of type 'resource'"),
            (by(gateway(), "user", "t2"), "this function does not answer callers of tenancy 't2'"),
            (gateway(), "the platform names no caller: this function answers authenticated callers only"),
        ] {
            let reply = call.call().await;
            assert_eq!((reply.wire_status(), reply.status()), (200, 403));
            assert_eq!(reply.json::<serde_json::Value>()["message"], message);
        }
        // A direct caller is told by the platform only that the function failed.
        assert_eq!(by(function.body(""), "user", "t2").call().await.wire_status(), 502);
    }

    #[tokio::test]
    async fn only_callers_of_the_compartment_are_answered() {
        async fn guarded(cx: Context, (): ()) -> Result<String> {
            Ok(cx.allow(AllowCaller::default().compartment("c1"))?.compartment)
        }
        let function = function(guarded);
        let caller = || by(function.http("GET", "/"), "user", "t1");
        let reply = caller().header("oci-subject-compartment-id", "c1").call().await;
        assert_eq!((reply.status(), reply.text()), (200, "c1"));
        for (call, message) in [
            (
                caller().header("oci-subject-compartment-id", "c2"),
                "this function does not answer callers of compartment 'c2'",
            ),
            // Where OCI does not say, it is not the one that is demanded.
            (caller(), "this function does not answer callers of compartment ''"),
        ] {
            let reply = call.call().await;
            assert_eq!(reply.status(), 403);
            assert_eq!(reply.json::<serde_json::Value>()["message"], message);
        }
    }
}
