//! A client for what a function does with its identity: it reads an object, or a secret. Blocking, since a state loader is,
//! and a handler has a thread of its own.

mod error;
mod object_storage;
mod vault;

pub use error::ClientError;
pub use object_storage::Object;
pub use vault::Secret;

use crate::identity::Identity;
use crate::principal::Principal;
use crate::sign::Payload;
use crate::signer::Signer;
use error::Kind;
use http::header::{HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{Request, Response, StatusCode, Uri};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use ureq::{Agent, Body};

/// How long a connection, and then the head of a reply, may take. Bodies take as long as they are.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads from OCI services as a [`Signer`].
///
/// TLS is rustls with ring, whose roots are Mozilla's, compiled in: an image needs no certificates. A principal's request
/// that is answered 401 is sent once more, with the token and the key read anew, and a new date.
///
/// ```no_run
/// # fn read(principal: std::sync::Arc<fdk_principal::Principal>) -> Result<(), fdk_principal::ClientError> {
/// use std::io::Read;
///
/// let client = fdk_principal::Client::of_principal(principal)?;
/// let mut text = String::new();
/// client.object("namespace", "bucket", "notes.txt")?.read_to_string(&mut text)?;
/// let password = client.secret("ocid1.vaultsecret.oc1..example")?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    signer: Signer,
    object_storage: Uri,
    vault: Uri,
}

impl Client {
    /// A client for the services of a region, such as `us-phoenix-1` in the realm `oraclecloud.com`.
    pub fn new(signer: impl Into<Signer>, region: &str, realm_domain: &str) -> Result<Self, ClientError> {
        let agent = Agent::config_builder()
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            // A signature is for one host, and a status is ours to judge.
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("fdk-rust/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self {
            agent,
            signer: signer.into(),
            object_storage: endpoint(&format!("https://objectstorage.{region}.{realm_domain}"))?,
            vault: endpoint(&format!("https://secrets.vaults.{region}.oci.{realm_domain}"))?,
        })
    }

    /// A client for the region and the realm of a resource principal.
    pub fn of_principal(principal: Arc<Principal>) -> Result<Self, ClientError> {
        let identity = principal.identity();
        Self::new(principal, identity.region(), identity.realm_domain())
    }

    /// Sends Object Storage's requests elsewhere, such as `http://127.0.0.1:8080`. Only a loopback address may go without
    /// TLS.
    pub fn with_object_storage(self, url: &str) -> Result<Self, ClientError> {
        Ok(Self { object_storage: endpoint(url)?, ..self })
    }

    /// Sends the vault's requests elsewhere, as [`Client::with_object_storage`].
    pub fn with_vault(self, url: &str) -> Result<Self, ClientError> {
        Ok(Self { vault: endpoint(url)?, ..self })
    }

    /// Sends a signed GET. `what` is what messages call it.
    fn get(
        &self,
        what: &str,
        endpoint: &Uri,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Response<Body>, ClientError> {
        let fails = |kind| ClientError::new(what, kind);
        let uri = format!("{}{path}", endpoint.to_string().trim_end_matches('/'));
        let request = || -> Result<Request<()>, ClientError> {
            let mut request = Request::get(&uri).body(()).map_err(|error| fails(Kind::Request(error)))?;
            request.headers_mut().extend(headers.iter().cloned());
            Ok(request)
        };
        let send = |identity: Option<&Identity>| {
            let (mut head, ()) = request()?.into_parts();
            let now = SystemTime::now();
            let signed = match identity {
                Some(identity) => identity.sign_head(&mut head, Payload::Bytes(&[]), now),
                None => self.signer.sign_head(&mut head, Payload::Bytes(&[]), now),
            };
            signed.map_err(|refusal| fails(Kind::Signature(refusal)))?;
            self.agent.run(Request::from_parts(head, ())).map_err(|error| fails(Kind::Transport(error)))
        };
        let response = match &self.signer {
            Signer::ApiKey(_) => send(None)?,
            Signer::Principal(principal) => {
                let used = principal.current().map_err(|refusal| fails(Kind::Signature(refusal)))?;
                let response = send(Some(&used))?;
                // OCI may withdraw a token before it expires.
                let refused = response.status() == StatusCode::UNAUTHORIZED;
                match refused.then(|| principal.renew(&used)) {
                    Some(Ok(newer)) if !Arc::ptr_eq(&newer, &used) => send(Some(&newer))?,
                    _ => response,
                }
            }
        };
        if response.status().is_success() { Ok(response) } else { Err(fails(Kind::refused(response))) }
    }
}

/// Without the endpoints and the agent: a URL from the environment, of a proxy say, may hold a password.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("signer", &self.signer).finish_non_exhaustive()
    }
}

/// A base URL with TLS, or of this machine.
fn endpoint(url: &str) -> Result<Uri, ClientError> {
    let wrong = |why| ClientError::new(url, Kind::Endpoint(why));
    let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
    let host = uri.host().ok_or(wrong("it names no host"))?;
    let here = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
    if uri.scheme() != Some(&Scheme::HTTPS) && !(here && uri.scheme() == Some(&Scheme::HTTP)) {
        return Err(wrong("it must begin with https://; only a loopback address may go without"));
    }
    Ok(uri)
}

/// One segment of a path: everything but unreserved characters (RFC 3986, 2.3) is escaped, a slash as well.
fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_goes_without_tls() {
        for good in
            ["https://objectstorage.us-phoenix-1.oraclecloud.com", "http://127.0.0.1:8080", "http://[::1]:1"]
        {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        let message = |url| endpoint(url).unwrap_err().to_string();
        assert_eq!(
            message("http://example.com"),
            "http://example.com: it must begin with https://; only a loopback address may go without"
        );
        assert_eq!(message("nothing at all"), "nothing at all: it is no URL");
        assert_eq!(message("/path"), "/path: it names no host");
    }

    #[test]
    fn a_segment_holds_no_slash() {
        assert_eq!(segment("a/b c.ü~"), "a%2Fb%20c.%C3%BC~");
    }
}
