//! OCIDs of applications, functions and secrets: the platform's own ids, as OCI would write them.

use crate::tenancy::REALM;

const REGION: &str = "lcl";

/// The OCID of an application.
pub(super) fn app(id: &str) -> String {
    format!("ocid1.fnapp.{REALM}.{REGION}.{}", id.to_ascii_lowercase())
}

/// The OCID of a function.
pub(super) fn func(id: &str) -> String {
    format!("ocid1.fnfunc.{REALM}.{REGION}.{}", id.to_ascii_lowercase())
}

/// The OCID of a secret, which its name makes.
pub(super) fn secret(name: &str) -> String {
    format!("ocid1.vaultsecret.{REALM}.{REGION}.{name}")
}

/// The platform's id of an application's or a function's OCID; `None` for other texts.
pub(super) fn id(kind: &str, ocid: &str) -> Option<String> {
    let rest = rest(kind, ocid)?;
    let own = rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (own && !rest.is_empty()).then(|| rest.to_ascii_uppercase())
}

/// A secret's name.
pub(super) fn secret_name(ocid: &str) -> Option<&str> {
    rest("vaultsecret", ocid).filter(|name| !name.is_empty())
}

fn rest<'a>(kind: &str, ocid: &'a str) -> Option<&'a str> {
    ocid.strip_prefix("ocid1.")?.strip_prefix(kind)?.strip_prefix(&format!(".{REALM}.{REGION}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ocid_leads_back() {
        assert_eq!(func("01JABC"), "ocid1.fnfunc.local.lcl.01jabc");
        assert_eq!(id("fnfunc", &func("01JABC")).as_deref(), Some("01JABC"));
        assert_eq!(secret_name(&secret("db-password")), Some("db-password"));
        for other in [
            "01JABC",
            "ocid1.fnapp.local.lcl.01jabc",
            "ocid1.fnfunc.local.lcl.",
            "ocid1.fnfunc.local.lcl.01JABC",
            "ocid1.fnfunc.oc1.phx.aa",
        ] {
            assert_eq!(id("fnfunc", other), None, "{other}");
        }
    }
}
