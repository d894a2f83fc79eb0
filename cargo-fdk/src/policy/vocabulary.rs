//! The words of the policy language: verbs, resource types, permissions, operations.
//!
//! What each verb permits is Oracle's, from the policy reference of each service ("Details for Functions", "for Object
//! Storage", "for Vault, Key Management, and Secrets").

/// What one may do with a resource type; each verb permits what those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    /// List.
    Inspect,
    /// Look at.
    Read,
    /// Work with.
    Use,
    /// All of it.
    Manage,
}

impl Verb {
    pub(super) const ALL: [(&'static str, Self); 4] =
        [("inspect", Self::Inspect), ("read", Self::Read), ("use", Self::Use), ("manage", Self::Manage)];

    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, verb)| *verb)
    }
}

/// The permissions that are enforced: resource type, the first verb that has it, its name.
pub(super) const PERMISSIONS: [(&str, Verb, &str); 27] = [
    ("fn-app", Verb::Inspect, "FN_APP_LIST"),
    ("fn-app", Verb::Read, "FN_APP_READ"),
    ("fn-app", Verb::Manage, "FN_APP_CREATE"),
    ("fn-app", Verb::Manage, "FN_APP_DELETE"),
    ("fn-app", Verb::Manage, "FN_APP_UPDATE"),
    ("fn-function", Verb::Inspect, "FN_FUNCTION_LIST"),
    ("fn-function", Verb::Read, "FN_FUNCTION_READ"),
    ("fn-function", Verb::Manage, "FN_FUNCTION_CREATE"),
    ("fn-function", Verb::Manage, "FN_FUNCTION_DELETE"),
    ("fn-function", Verb::Manage, "FN_FUNCTION_UPDATE"),
    ("fn-invocation", Verb::Use, "FN_INVOCATION"),
    ("buckets", Verb::Inspect, "BUCKET_INSPECT"),
    ("buckets", Verb::Read, "BUCKET_READ"),
    ("buckets", Verb::Use, "BUCKET_UPDATE"),
    ("buckets", Verb::Manage, "BUCKET_CREATE"),
    ("buckets", Verb::Manage, "BUCKET_DELETE"),
    ("buckets", Verb::Manage, "PAR_MANAGE"),
    ("objects", Verb::Inspect, "OBJECT_INSPECT"),
    ("objects", Verb::Read, "OBJECT_READ"),
    ("objects", Verb::Use, "OBJECT_OVERWRITE"),
    ("objects", Verb::Manage, "OBJECT_CREATE"),
    ("objects", Verb::Manage, "OBJECT_DELETE"),
    ("objects", Verb::Manage, "OBJECT_VERSION_DELETE"),
    ("objects", Verb::Manage, "OBJECT_RESTORE"),
    ("objects", Verb::Manage, "OBJECT_UPDATE_TIER"),
    ("secret-bundles", Verb::Inspect, "SECRET_BUNDLE_INSPECT"),
    ("secret-bundles", Verb::Read, "SECRET_BUNDLE_READ"),
];

/// Families, and the types in them that are enforced.
const FAMILIES: [(&str, &[&str]); 4] = [
    ("all-resources", &["fn-app", "fn-function", "fn-invocation", "buckets", "objects", "secret-bundles"]),
    ("functions-family", &["fn-app", "fn-function", "fn-invocation"]),
    ("object-family", &["buckets", "objects"]),
    ("secret-family", &["secret-bundles"]),
];

/// The enforced resource types that a word stands for: itself, or its family's. `None` when it is none.
pub(super) fn enforced(word: &str) -> Option<Vec<&'static str>> {
    if let Some((_, types)) = FAMILIES.iter().find(|(family, _)| word.eq_ignore_ascii_case(family)) {
        return Some(types.to_vec());
    }
    let found = PERMISSIONS.iter().find(|(resource, ..)| word.eq_ignore_ascii_case(resource));
    found.map(|(resource, ..)| vec![*resource])
}

/// The permissions of a verb for these resource types.
pub(super) fn permissions(verb: Verb, resources: &[&str]) -> Vec<&'static str> {
    let granted =
        PERMISSIONS.iter().filter(|(resource, first, _)| *first <= verb && resources.contains(resource));
    granted.map(|(.., permission)| *permission).collect()
}

/// An enforced permission by its name.
pub(super) fn permission(word: &str) -> Option<&'static str> {
    let found = PERMISSIONS.iter().find(|(.., permission)| word.eq_ignore_ascii_case(permission));
    found.map(|(.., permission)| *permission)
}

/// Something that the platform can be asked to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// The name of it in the API, which is the value of `request.operation`.
    pub name: &'static str,
    /// What one needs for it, all of it.
    pub permissions: &'static [&'static str],
}

macro_rules! operations {
    ($($(#[$doc:meta])* $constant:ident = $name:literal needs $($permission:literal),+;)+) => {
        $($(#[$doc])* pub const $constant: Operation = Operation { name: $name, permissions: &[$($permission),+] };)+
        /// Every operation.
        pub const OPERATIONS: &[&Operation] = &[$(&$constant),+];
    };
}

operations! {
    /// The applications of a compartment.
    LIST_APPLICATIONS = "ListApplications" needs "FN_APP_LIST";
    /// One application.
    GET_APPLICATION = "GetApplication" needs "FN_APP_READ";
    /// A new application.
    CREATE_APPLICATION = "CreateApplication" needs "FN_APP_CREATE";
    /// Another configuration for an application.
    UPDATE_APPLICATION = "UpdateApplication" needs "FN_APP_UPDATE";
    /// The end of an application.
    DELETE_APPLICATION = "DeleteApplication" needs "FN_APP_DELETE";
    /// The functions of an application.
    LIST_FUNCTIONS = "ListFunctions" needs "FN_FUNCTION_LIST";
    /// One function.
    GET_FUNCTION = "GetFunction" needs "FN_FUNCTION_READ";
    /// A new function.
    CREATE_FUNCTION = "CreateFunction" needs "FN_FUNCTION_CREATE";
    /// Another image or configuration for a function.
    UPDATE_FUNCTION = "UpdateFunction" needs "FN_FUNCTION_UPDATE";
    /// The end of a function.
    DELETE_FUNCTION = "DeleteFunction" needs "FN_FUNCTION_DELETE";
    /// A call.
    INVOKE_FUNCTION = "InvokeFunction" needs "FN_INVOCATION";
    /// The buckets of a compartment.
    LIST_BUCKETS = "ListBuckets" needs "BUCKET_INSPECT";
    /// Whether a bucket is there.
    HEAD_BUCKET = "HeadBucket" needs "BUCKET_INSPECT";
    /// What a bucket is.
    GET_BUCKET = "GetBucket" needs "BUCKET_READ";
    /// The objects of a bucket.
    LIST_OBJECTS = "ListObjects" needs "OBJECT_INSPECT";
    /// What an object is.
    HEAD_OBJECT = "HeadObject" needs "OBJECT_INSPECT";
    /// An object's content.
    GET_OBJECT = "GetObject" needs "OBJECT_READ";
    /// A new object.
    PUT_OBJECT = "PutObject" needs "OBJECT_CREATE";
    /// An object in place of one that is there.
    OVERWRITE_OBJECT = "PutObject" needs "OBJECT_CREATE", "OBJECT_OVERWRITE";
    /// The end of an object.
    DELETE_OBJECT = "DeleteObject" needs "OBJECT_DELETE";
    /// A secret's content.
    GET_SECRET_BUNDLE = "GetSecretBundle" needs "SECRET_BUNDLE_READ";
    /// The same, by the secret's name.
    GET_SECRET_BUNDLE_BY_NAME = "GetSecretBundleByName" needs "SECRET_BUNDLE_READ";
}

/// An operation by its name in the API.
pub fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name.eq_ignore_ascii_case(name)).copied()
}

#[cfg(test)]
mod tests {
    use super::super::documented::is_documented_permission;
    use super::*;

    /// The tables of the policy reference, row by row.
    #[test]
    fn verbs_permit_what_oracle_documents() {
        let of = |verb, word: &str| permissions(verb, &enforced(word).unwrap());
        assert_eq!(of(Verb::Inspect, "fn-app"), ["FN_APP_LIST"]);
        assert_eq!(of(Verb::Read, "fn-app"), ["FN_APP_LIST", "FN_APP_READ"]);
        assert_eq!(of(Verb::Use, "fn-app"), of(Verb::Read, "fn-app"), "no extra");
        assert_eq!(of(Verb::Manage, "fn-function").len(), 5);
        assert!(of(Verb::Read, "fn-invocation").is_empty());
        assert_eq!(of(Verb::Use, "fn-invocation"), ["FN_INVOCATION"]);
        assert_eq!(of(Verb::Manage, "fn-invocation"), ["FN_INVOCATION"]);
        assert_eq!(of(Verb::Read, "Objects"), ["OBJECT_INSPECT", "OBJECT_READ"]);
        assert_eq!(
            of(Verb::Read, "functions-family"),
            ["FN_APP_LIST", "FN_APP_READ", "FN_FUNCTION_LIST", "FN_FUNCTION_READ"]
        );
        assert_eq!(of(Verb::Manage, "all-resources").len(), PERMISSIONS.len());
        assert_eq!(enforced("repos"), None);
    }

    #[test]
    fn every_operation_needs_what_somebody_can_be_given() {
        for operation in OPERATIONS {
            for needed in operation.permissions {
                assert_eq!(permission(needed), Some(*needed), "{}", operation.name);
            }
        }
        // What begins like ours and is not ours is a slip, and not another service's.
        for slip in ["FN_INVOCATION_", "OBJECT_RED", "BUCKET_", "SECRET_BUNDLE_REED", ""] {
            assert!(permission(slip).is_none() && !is_documented_permission(slip), "{slip}");
        }
        assert!(is_documented_permission("key_read") && is_documented_permission("REPOSITORY_READ"));
    }
}
