//! A new tenancy: one user with a key, and the configuration that the `oci` client and the SDKs read.

use super::{Compartment, FILE, Group, REGION, Tenancy, User};
use crate::issuer::{KEY, TOKEN};
use crate::keys;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The files of the user, in the folder.
const PRIVATE_KEY: &str = "oci_api_key.pem";
const PUBLIC_KEY: &str = "oci_api_key_public.pem";

/// Makes a tenancy in a folder that has none, and leaves one that is there as it is. Returns it.
///
/// There is one compartment, `functions`; one group, `Administrators`; and one user in it, `laptop`, with a new key. The
/// user is allowed nothing until a statement says so.
pub fn init(folder: &Path) -> Result<Tenancy> {
    if folder.join(FILE).exists() {
        return Tenancy::read(folder);
    }
    let fails = |error: std::io::Error| Error::failed(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(fails)?;
    let folder = folder.canonicalize().map_err(fails)?;
    let user = new_ocid("user")?;
    let tenancy = Tenancy {
        id: new_ocid("tenancy")?,
        name: "laptop".into(),
        namespace: "local".into(),
        compartments: vec![Compartment {
            id: new_ocid("compartment")?,
            name: "functions".into(),
            parent: None,
        }],
        groups: vec![Group { id: new_ocid("group")?, name: "Administrators".into() }],
        dynamic_groups: Vec::new(),
        users: vec![User {
            id: user.clone(),
            name: "laptop".into(),
            groups: vec!["Administrators".into()],
            keys: vec![PathBuf::from(PUBLIC_KEY)],
        }],
    };
    let key = keys::generate()?;
    // The label is what Oracle's tools look for, lest a key of another kind be sent.
    keys::write(&folder.join(PRIVATE_KEY), &format!("{}OCI_API_KEY\n", keys::private_pem(&key)?))?;
    keys::write(&folder.join(PUBLIC_KEY), &keys::public_pem(&key)?)?;
    let fingerprint =
        keys::public(&key)?.fingerprint().ok_or_else(|| Error::failed("the key has no fingerprint"))?;
    let config = format!(
        "# A user of the LOCAL tenancy beside this file, for tests: no OCI service knows it.\n\
         [DEFAULT]\nuser={user}\nfingerprint={fingerprint}\ntenancy={}\nregion={REGION}\nkey_file={}\n\n\
         # The same user by a session, which the platform renews while it runs: --auth security_token.\n\
         [SESSION]\nuser={user}\nfingerprint={fingerprint}\nkey_file={}\nsecurity_token_file={}\n",
        tenancy.id,
        folder.join(PRIVATE_KEY).display(),
        folder.join("session").join(KEY).display(),
        folder.join("session").join(TOKEN).display(),
    );
    keys::write(&folder.join("config"), &config)?;
    let text = toml::to_string(&tenancy).map_err(|error| Error::failed(format!("the tenancy: {error}")))?;
    // Last: a folder with it is one that is whole.
    keys::write(
        &folder.join(FILE),
        &format!("# The tenancy that `cargo fdk start --oci` plays. Edit it as you like.\n{text}"),
    )?;
    Ok(tenancy)
}

/// A new OCID.
pub(crate) fn new_ocid(kind: &str) -> Result<String> {
    Ok(format!("ocid1.{kind}.{}..{}", super::REALM, keys::random_id()?))
}
