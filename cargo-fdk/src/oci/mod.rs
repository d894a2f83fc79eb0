//! The OCI side: the endpoints of Functions, Object Storage and Vault, for callers who are authenticated and allowed.
//!
//! Every request is authenticated by its signature (`directory`) and authorised by the statements of a file
//! ([`crate::policy`]); then it is the platform's, whose applications, functions and containers it shares with the Fn API.
//! What a function is given by OCI, it is given here (`surroundings`): its identity above all.

mod body;
mod decisions;
mod directory;
mod fault;
mod functions;
mod invoke;
mod object_storage;
mod ocid;
pub(crate) mod options;
mod principals;
mod query;
mod range;
mod rate;
mod storage;
mod surroundings;
mod vault;

pub use decisions::{Decision, Decisions, Verdict};
pub use directory::Directory;
pub use fault::Fault;
pub(crate) use invoke::strip_reserved;
pub use principals::Principals;
pub use rate::Rate;
pub use storage::Storage;

use crate::agent::directory::Directory as Temporary;
use crate::platform::Platform;
use crate::policy::file::PolicyFile;
use crate::policy::{Caller, Operation, Policies, Request as Question, Target};
use crate::server::respond::Body;
use crate::tenancy::Tenancy;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use query::Query;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockWriteGuard};
use std::time::SystemTime;

/// The endpoint.
pub struct Oci {
    policies: InForce,
    file: PolicyFile,
    directory: Directory,
    /// What Object Storage and Vault serve.
    storage: Option<Storage>,
    principals: Arc<Principals>,
    /// What was asked, and the answers.
    pub decisions: Decisions,
    rate: Rate,
    work_requests: functions::WorkRequests,
    /// Where this is served; set when that is known.
    base: Arc<OnceLock<String>>,
    /// The tenancy's.
    folder: PathBuf,
    /// The same, when it goes with this.
    _temporary: Option<Temporary>,
}

/// The statements in force, which can be replaced.
struct InForce(RwLock<Arc<Policies>>);

impl InForce {
    fn write(&self) -> RwLockWriteGuard<'_, Arc<Policies>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Policies> for InForce {
    fn from(policies: Policies) -> Self {
        Self(RwLock::new(Arc::new(policies)))
    }
}

/// The OCID of a function, as the endpoint writes it.
pub(crate) fn function_ocid(id: &str) -> String {
    ocid::func(id)
}

/// The name of a secret, in the OCID that the endpoint gives it.
pub(crate) fn secret_name(id: &str) -> Option<&str> {
    ocid::secret_name(id)
}

/// Which service a path belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    /// And the version of its API.
    Functions(Version),
    ObjectStorage,
    Secrets,
}

/// The versions of the Functions API, which differ in how a function names its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V20181201,
    V20260325,
}

impl Service {
    /// The service, and the rest of the path.
    fn of(path: &str) -> Option<(Self, &str)> {
        let rest = path.strip_prefix('/')?;
        let (first, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let service = match first {
            "20181201" => Self::Functions(Version::V20181201),
            "20260325" => Self::Functions(Version::V20260325),
            "n" => Self::ObjectStorage,
            "20190301" => Self::Secrets,
            _ => return None,
        };
        Some((service, rest))
    }
}

/// A request whose sender is known.
struct Asked<'a> {
    oci: &'a Oci,
    /// The statements in force when it came.
    policies: Arc<Policies>,
    platform: &'a Arc<Platform>,
    caller: Caller,
    head: Parts,
    body: Bytes,
    query: Query,
    /// What the reply has as `opc-request-id`.
    request_id: String,
}

impl Asked<'_> {
    /// Asks the policies. The refusal is the same as for what is not there.
    fn may(&self, operation: &'static Operation, target: &Target) -> Result<(), Fault> {
        let question = Question { caller: &self.caller, operation, target };
        let decision = self.policies.decide(&question);
        let allowed = decision.is_allowed();
        self.oci.decisions.note(&self.caller, operation.name, target, &decision);
        if allowed { Ok(()) } else { Err(Fault::not_authorized_or_not_found()) }
    }

    fn tenancy(&self) -> &Tenancy {
        self.policies.tenancy()
    }

    /// A header's value, where it is text.
    fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// `scheme://host` as the caller reached it.
    fn base(&self) -> String {
        format!("http://{}", self.header("host").unwrap_or("127.0.0.1"))
    }

    /// Checks `if-match` against the etag of what is there.
    fn check_etag(&self, etag: &str) -> Result<(), Fault> {
        match self.header("if-match") {
            Some(wanted) if wanted != "*" && wanted.trim_matches('"') != etag => Err(Fault::no_etag_match()),
            _ => Ok(()),
        }
    }
}

impl Oci {
    /// What is allowed.
    pub fn policies(&self) -> Arc<Policies> {
        self.policies.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The identities of functions and sessions.
    pub fn principals(&self) -> &Principals {
        &self.principals
    }

    /// Says where it is served.
    pub(crate) fn served_at(&self, base: String) {
        // Once: there is one listener.
        let _ = self.base.set(base);
    }

    /// Whether a path is one of the endpoint's.
    pub fn has(path: &str) -> bool {
        Service::of(path).is_some()
    }

    /// Answers a request: whoever sent it, and whatever it holds.
    pub async fn answer(&self, platform: &Arc<Platform>, request: Request<Incoming>) -> Response<Body> {
        let request_id = request_id(request.headers().get("opc-request-id"));
        let client_id = request.headers().get("opc-client-request-id").cloned();
        let is_head = request.method() == Method::HEAD;
        let mut response = match self.work(platform, request, &request_id).await {
            Ok(response) => response,
            Err(fault) => {
                let mut response = fault.response();
                if is_head {
                    *response.body_mut() = crate::server::respond::whole("");
                }
                response
            }
        };
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::try_from(request_id) {
            headers.insert("opc-request-id", id);
        }
        if let Some(id) = client_id {
            headers.insert("opc-client-request-id", id);
        }
        response
    }

    async fn work(
        &self,
        platform: &Arc<Platform>,
        request: Request<Incoming>,
        request_id: &str,
    ) -> Result<Response<Body>, Fault> {
        let (head, incoming) = request.into_parts();
        let path = head.uri.path().to_owned();
        let no_path = || Fault::no_path(&head.method, &path);
        let (service, rest) = Service::of(&path).ok_or_else(no_path)?;
        let (rule, limit) = body::rules(service, &head.method, rest);
        let refused = |why: String| {
            self.decisions.refused(&head.method, &path, &why);
            Fault::not_authenticated()
        };
        // Nothing is held for somebody who is not known.
        if let Err(why) = self.directory.authenticate_head(&head, rule, SystemTime::now()) {
            body::pass_over(incoming).await;
            return Err(refused(why));
        }
        let body = body::read(incoming, limit).await?;
        let caller = self.directory.authenticate(&head, &body, rule, SystemTime::now()).map_err(refused)?;
        if !self.rate.admits(caller.id()) {
            let message = "User-rate limit exceeded";
            return Err(Fault::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message));
        }
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let segments = segments(rest).ok_or_else(no_path)?;
        let request_id = request_id.to_owned();
        let policies = self.policies();
        let asked = Asked { oci: self, policies, platform, caller, head, body, query, request_id };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match service {
            Service::Functions(version) => functions::answer(&asked, version, &segments).await,
            Service::ObjectStorage => object_storage::answer(&asked, &segments).await,
            Service::Secrets => vault::answer(&asked, &segments),
        }
    }
}

/// The segments of a path, decoded; `None` when they are no text. An escaped slash stays within its segment.
fn segments(path: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for segment in path.split('/') {
        let mut bytes = Vec::with_capacity(segment.len());
        let mut rest = segment.as_bytes();
        while let Some((first, more)) = rest.split_first() {
            rest = more;
            let escaped = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
            match (first, more.get(..2)) {
                (b'%', Some(digits)) if digits.iter().all(u8::is_ascii_hexdigit) => {
                    bytes.push(escaped(digits)?);
                    rest = more.get(2..)?;
                }
                (b'%', _) => return None,
                _ => bytes.push(*first),
            }
        }
        all.push(String::from_utf8(bytes).ok()?);
    }
    Some(all)
}

/// The caller's id, if it is one that can be shown, and two parts of ours.
fn request_id(sent: Option<&HeaderValue>) -> String {
    let own = crate::id::next();
    let plain =
        |text: &&str| text.len() <= 98 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    match sent.and_then(|value| value.to_str().ok()).filter(plain) {
        Some(sent) => format!("{sent}/{own}/{}", crate::id::next()),
        None => format!("/{own}/{}", crate::id::next()),
    }
}

impl fmt::Debug for Oci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oci").field("directory", &self.directory).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_a_service() {
        assert_eq!(
            Service::of("/20181201/applications"),
            Some((Service::Functions(Version::V20181201), "applications"))
        );
        assert_eq!(Service::of("/n/ns/b/x"), Some((Service::ObjectStorage, "ns/b/x")));
        assert_eq!(Service::of("/n"), Some((Service::ObjectStorage, "")));
        for other in ["/", "/v2/apps", "/invoke/x", "/t/app/n", "//n/ns", "/2018", ""] {
            assert_eq!(Service::of(other), None, "{other}");
        }
    }

    #[test]
    fn an_escaped_slash_is_no_slash() {
        assert_eq!(segments("ns/b/a%2Fb%20c").unwrap(), ["ns", "b", "a/b c"]);
        for broken in ["%", "%2", "%zz", "%ff", "a%+1"] {
            assert_eq!(segments(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_request_id_is_the_callers_and_ours() {
        let sent = HeaderValue::from_static("mine");
        assert!(request_id(Some(&sent)).starts_with("mine/0") && request_id(None).starts_with("/0"));
        let long = HeaderValue::try_from("x".repeat(99)).unwrap();
        assert!(request_id(Some(&long)).starts_with("/0"));
    }
}
