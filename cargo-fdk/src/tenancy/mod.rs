//! The tenancy that the platform plays: its compartments, its users and their keys, its groups.
//!
//! It is a folder with `tenancy.toml`; `cargo fdk start --oci --init-oci DIR` makes one.

mod init;

pub use init::init;
pub(crate) use init::new_ocid;

use crate::{Error, Result};
use fdk_principal::PublicKey;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The region of everything here. No host of that name exists.
pub const REGION: &str = "local-laptop-1";
/// Its key, which is the value of `request.region`.
pub const REGION_KEY: &str = "LCL";
/// The realm, in OCIDs.
pub const REALM: &str = "local";
/// The realm's domain.
pub const REALM_DOMAIN: &str = "local.invalid";

/// A tenancy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenancy {
    /// Its OCID, which is its root compartment's too.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The namespace of its buckets.
    pub namespace: String,
    /// Its compartments, below the root.
    #[serde(default, rename = "compartment")]
    pub compartments: Vec<Compartment>,
    /// Its groups of users.
    #[serde(default, rename = "group")]
    pub groups: Vec<Group>,
    /// Its groups of resources.
    #[serde(default, rename = "dynamic_group")]
    pub dynamic_groups: Vec<DynamicGroup>,
    /// Its users.
    #[serde(default, rename = "user")]
    pub users: Vec<User>,
}

/// A compartment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compartment {
    /// Its OCID.
    pub id: String,
    /// Its name, unique within its parent.
    pub name: String,
    /// The OCID of the compartment it is in; the tenancy when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its OCID.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A group of resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicGroup {
    /// Its OCID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Which resources it holds, such as `ALL {resource.type = 'fnfunc', resource.id = '…'}`.
    pub rule: String,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Its OCID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The names of the groups it is in.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Its public keys, PEM files in the tenancy's folder.
    #[serde(default)]
    pub keys: Vec<PathBuf>,
}

/// The file in a tenancy's folder.
pub const FILE: &str = "tenancy.toml";

impl Tenancy {
    /// Reads the tenancy of a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Error::usage(format!(
                "{}: {error}; `cargo fdk start --oci --init-oci DIR` makes a tenancy",
                path.display()
            ))
        })?;
        let tenancy: Self =
            toml::from_str(&text).map_err(|error| Error::usage(format!("{}: {error}", path.display())))?;
        tenancy.check().map_err(|why| Error::usage(format!("{}: {why}", path.display())))?;
        Ok(tenancy)
    }

    /// That ids are different, and that what is named is there.
    fn check(&self) -> Result<(), String> {
        let mut ids = vec![self.id.as_str()];
        ids.extend(self.compartments.iter().map(|one| one.id.as_str()));
        ids.extend(self.groups.iter().map(|one| one.id.as_str()));
        ids.extend(self.dynamic_groups.iter().map(|one| one.id.as_str()));
        ids.extend(self.users.iter().map(|one| one.id.as_str()));
        ids.sort_unstable();
        if let Some((twice, _)) = ids.iter().zip(ids.iter().skip(1)).find(|(one, next)| one == next) {
            return Err(format!("the id {twice} is there twice"));
        }
        for compartment in &self.compartments {
            // A circle never comes to the root.
            if self.ancestors(&compartment.id).last() != Some(&self.id.as_str()) {
                return Err(format!(
                    "the compartment {} is not in the tenancy: its parent is not there",
                    compartment.name
                ));
            }
        }
        for user in &self.users {
            if let Some(none) = user.groups.iter().find(|name| self.group(name).is_none()) {
                return Err(format!("the user {} is in the group {none}, which is not there", user.name));
            }
        }
        Ok(())
    }

    /// A compartment and those it is in, up to the tenancy; nothing for an id that is none.
    pub fn ancestors<'a>(&'a self, id: &str) -> Vec<&'a str> {
        let mut chain = Vec::new();
        let mut next = id;
        // Those of a circle would have no end.
        while next != self.id && chain.len() <= self.compartments.len() {
            let Some(compartment) = self.find(next) else { return chain };
            chain.push(compartment.id.as_str());
            next = compartment.parent.as_ref().unwrap_or(&self.id);
        }
        if next == self.id {
            chain.push(&self.id);
        }
        chain
    }

    /// The compartment of what is in none by name: functions of folders, buckets, secrets. The first; the root when there is
    /// none.
    pub fn home(&self) -> &str {
        self.compartments.first().map_or(&self.id, |first| &first.id)
    }

    /// Whether a compartment, or the tenancy, has this id.
    pub fn has_compartment(&self, id: &str) -> bool {
        id == self.id || self.find(id).is_some()
    }

    fn find(&self, id: &str) -> Option<&Compartment> {
        self.compartments.iter().find(|compartment| compartment.id == id)
    }

    /// The id of the compartment at a path of names below the tenancy, such as `a:b`.
    pub fn compartment_at(&self, path: &str) -> Option<&String> {
        let mut id = &self.id;
        for name in path.split(':') {
            let child = self.compartments.iter().find(|compartment| {
                compartment.parent.as_ref().unwrap_or(&self.id) == id
                    && compartment.name.eq_ignore_ascii_case(name)
            });
            id = &child?.id;
        }
        Some(id)
    }

    /// The name of a compartment, or of the tenancy.
    pub fn compartment_name(&self, id: &str) -> Option<&str> {
        if id == self.id { Some(&self.name) } else { Some(&self.find(id)?.name) }
    }

    /// A group by its name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name.eq_ignore_ascii_case(name))
    }

    /// A dynamic group by its name.
    pub fn dynamic_group(&self, name: &str) -> Option<&DynamicGroup> {
        self.dynamic_groups.iter().find(|group| group.name.eq_ignore_ascii_case(name))
    }

    /// Whether a group, of users or of resources, has this id.
    pub fn has_group(&self, id: &str) -> bool {
        self.groups.iter().any(|group| group.id == id)
            || self.dynamic_groups.iter().any(|group| group.id == id)
    }

    /// The ids of the groups that a user is in.
    pub fn groups_of(&self, user: &User) -> Vec<String> {
        user.groups.iter().filter_map(|name| Some(self.group(name)?.id.clone())).collect()
    }

    /// A user by its id or its name.
    pub fn user(&self, id_or_name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id_or_name || user.name == id_or_name)
    }
}

impl User {
    /// Its public keys, with their fingerprints.
    pub fn read_keys(&self, folder: &Path) -> Result<Vec<(String, PublicKey)>> {
        let read = |file: &PathBuf| {
            let path = folder.join(file);
            let fails = |why: String| Error::usage(format!("{}: {why}", path.display()));
            let text = std::fs::read_to_string(&path).map_err(|error| fails(error.to_string()))?;
            let key =
                PublicKey::from_pem(&text).ok_or_else(|| fails("it is no RSA public key in PEM".into()))?;
            let fingerprint = key.fingerprint().ok_or_else(|| fails("it has no fingerprint".into()))?;
            Ok((fingerprint, key))
        };
        self.keys.iter().map(read).collect()
    }
}
