//! What the environment says about the principal (the variables of version 2.2, which Functions sets).

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::{Kind, Origin, Refusal, ShortValue};
use crate::regions;
use crate::sources::{Given, Sources};

pub(crate) const VERSION: &str = "OCI_RESOURCE_PRINCIPAL_VERSION";
pub(crate) const TOKEN: &str = "OCI_RESOURCE_PRINCIPAL_RPST";
pub(crate) const KEY: &str = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM";
pub(crate) const PASSPHRASE: &str = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE";
pub(crate) const REGION: &str = "OCI_RESOURCE_PRINCIPAL_REGION";
const REGION_METADATA: &str = "OCI_REGION_METADATA";
pub(crate) const FUNCTION_ID: &str = "FN_FN_ID";

const PREFIX: &str = "OCI_RESOURCE_PRINCIPAL_";
/// What the other versions set. They count as present, so that a principal we do not support is refused by its
/// version instead of passing for none.
const OTHER_VERSIONS: &[&str] = &[
    "OCI_RESOURCE_PRINCIPAL_RPT_ENDPOINT",
    "OCI_RESOURCE_PRINCIPAL_RPST_ENDPOINT",
    "OCI_RESOURCE_PRINCIPAL_RPT_PATH",
    "OCI_RESOURCE_PRINCIPAL_RESOURCE_ID",
    "OCI_RESOURCE_PRINCIPAL_TENANCY_ID",
    "OCI_RESOURCE_PRINCIPAL_SECURITY_CONTEXT",
    "OCI_RESOURCE_PRINCIPAL_VERSION_FOR_LEAF_RESOURCE",
];

/// The variables of a resource principal, as they were when read.
pub struct Environment {
    present: bool,
    version: Option<String>,
    token: Option<Given>,
    key: Option<Given>,
    passphrase: Option<Given>,
    region: Option<String>,
    region_metadata: Option<String>,
    function_id: Option<String>,
}

impl Environment {
    /// Reads the variables of this process.
    pub fn from_process() -> Self {
        let mut any = false;
        for (name, value) in std::env::vars_os() {
            any |= name.to_string_lossy().starts_with(PREFIX);
            erase(value);
        }
        let mut environment = Self::read(|name| std::env::var_os(name));
        environment.present |= any;
        environment
    }

    /// Reads the variables from wherever `variable` finds them.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        // What is not UTF-8 becomes U+FFFD, which no check below lets through.
        let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
        let given = |name| variable(name).map(given);
        let mut environment = Self {
            present: false,
            version: text(VERSION),
            token: given(TOKEN),
            key: given(KEY),
            passphrase: variable(PASSPHRASE).filter(|value| !value.is_empty()).map(self::given),
            region: text(REGION),
            region_metadata: text(REGION_METADATA),
            function_id: text(FUNCTION_ID).filter(|value| !value.is_empty()),
        };
        environment.present = [VERSION, TOKEN, KEY, PASSPHRASE, REGION]
            .iter()
            .chain(OTHER_VERSIONS)
            .any(|name| variable(name).map(erase).is_some());
        environment
    }

    /// True when any `OCI_RESOURCE_PRINCIPAL_*` variable is set, even to nothing.
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// The checks that need no file: version, what must be set, region, and the form of key and passphrase.
    pub(crate) fn sources(&self) -> Result<Sources, Refusal> {
        let version = self.version.as_deref().ok_or(Fault::Missing(VERSION))?;
        // Compared exactly, as every SDK does: " 2.2" is another version.
        if version != "2.2" {
            return Err(Fault::Version(version.to_owned()).into());
        }
        let token = self.token.clone().ok_or(Fault::Missing(TOKEN))?;
        let key = self.key.clone().ok_or(Fault::Missing(KEY))?;
        let region = self.region.as_deref().ok_or(Fault::Missing(REGION))?;
        let metadata = RegionMetadata::parse(self.region_metadata.as_deref())?;
        let region = resolve_region(region, &metadata)?;
        if self.passphrase.as_ref().is_some_and(|passphrase| passphrase.is_path() != key.is_path()) {
            return Err(Fault::MixedPathAndValue.into());
        }
        Ok(Sources {
            token,
            key,
            passphrase: self.passphrase.clone(),
            region,
            realm_domain: metadata.realm_domain.unwrap_or_else(|| DEFAULT_REALM_DOMAIN.to_owned()),
            function_id: self.function_id.clone(),
        })
    }
}

/// The value itself, or a path when absolute, whether or not the file exists: the rule of the Python, Go and
/// TypeScript SDKs. (Java asks whether the file exists, and so takes the path of a missing file for the token.)
fn given(value: OsString) -> Given {
    if Path::new(&value).is_absolute() {
        Given::Path(PathBuf::from(value))
    } else {
        let bytes = Zeroizing::new(value.into_encoded_bytes());
        Given::Value(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// A copy that is needed no more.
fn erase(value: OsString) {
    drop(Zeroizing::new(value.into_encoded_bytes()));
}

const DEFAULT_REALM_DOMAIN: &str = "oraclecloud.com";

/// `OCI_REGION_METADATA`: JSON, set in every function. It spares us a table of realms that ages.
#[derive(Default)]
struct RegionMetadata {
    code: Option<String>,
    region: Option<String>,
    realm_domain: Option<String>,
}

impl RegionMetadata {
    fn parse(text: Option<&str>) -> Result<Self, Fault> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::default()) };
        let json: Value = serde_json::from_str(text).map_err(|_| Fault::RegionMetadata)?;
        let field = |name| json.get(name).and_then(Value::as_str).map(str::to_ascii_lowercase);
        let metadata = Self {
            code: field("regionKey"),
            region: field("regionIdentifier"),
            realm_domain: field("realmDomainComponent"),
        };
        // Both enter host names, so both must be nothing but a name.
        let region_fits = metadata.region.as_deref().is_none_or(is_label);
        let domain_fits =
            metadata.realm_domain.as_deref().is_none_or(|domain| domain.split('.').all(is_label));
        if json.is_object() && region_fits && domain_fits { Ok(metadata) } else { Err(Fault::RegionMetadata) }
    }
}

/// Lower case first, as the Go SDK does; a name nobody knows passes, because new regions appear all the time.
fn resolve_region(value: &str, metadata: &RegionMetadata) -> Result<String, Fault> {
    let name = value.to_ascii_lowercase();
    if !is_label(&name) {
        return Err(Fault::Region(value.to_owned()));
    }
    match &metadata.region {
        Some(region) if metadata.code.as_ref() == Some(&name) => Ok(region.clone()),
        _ => Ok(regions::by_code(&name).map_or(name, str::to_owned)),
    }
}

/// `^[a-z0-9]+(-[a-z0-9]+)*$`. The SDKs put the region into a host name unchecked: `evil.example/x?` passes there.
fn is_label(text: &str) -> bool {
    text.split('-').all(|part| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("version", &self.version.as_deref().map(|value| ShortValue(value).to_string()))
            .field("token", &self.token)
            .field("key", &self.key)
            .field("passphrase", &self.passphrase.is_some())
            .field("region", &self.region.as_deref().map(|value| ShortValue(value).to_string()))
            .finish_non_exhaustive()
    }
}

pub(crate) enum Fault {
    Missing(&'static str),
    Absent,
    Version(String),
    Region(String),
    RegionMetadata,
    MixedPathAndValue,
}

impl Fault {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) | Self::Absent => "env_missing",
            Self::Version(_) => "version_unsupported",
            Self::Region(_) | Self::RegionMetadata => "region_invalid",
            Self::MixedPathAndValue => "mixed_path_and_value",
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Kind::Environment(fault).into()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(
                f,
                "{name} is not set, though other {PREFIX}* variables are; OCI Functions sets all of them, so check what overrides the environment"
            ),
            Self::Absent => write!(
                f,
                "{VERSION} is not set, and FDK_PRINCIPAL=required asks for a resource principal; run on OCI Functions, or set FDK_PRINCIPAL=optional"
            ),
            Self::Version(value) => {
                write!(
                    f,
                    "{VERSION} is {}; only 2.2, which OCI Functions sets, is supported",
                    ShortValue(value)
                )
            }
            Self::Region(value) => {
                write!(
                    f,
                    "{REGION} is {}, which is not a region; expected a name such as us-phoenix-1",
                    ShortValue(value)
                )
            }
            Self::RegionMetadata => write!(
                f,
                "{REGION_METADATA} is not a JSON object whose regionIdentifier and realmDomainComponent are names; unset it, or give what OCI Functions sets"
            ),
            Self::MixedPathAndValue => {
                write!(f, "{KEY} and {PASSPHRASE} must both be absolute paths or both be values")
            }
        }
    }
}

pub(crate) fn origin(name: &'static str, given: &Given) -> Origin {
    Origin { name: name.into(), path: given.path().map(Path::to_path_buf) }
}
