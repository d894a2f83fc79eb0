//! Every refusal: its code, and its one line, word for word.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use common::{Issued, NOW, at, issuer_key, vectors};
use fdk_principal::{Environment, Mode, Outcome, Policy, Refusal, verify};
use serde_json::{Value, json};

const VERSION: &str = "OCI_RESOURCE_PRINCIPAL_VERSION";
const TOKEN: &str = "OCI_RESOURCE_PRINCIPAL_RPST";
const KEY: &str = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM";
const PASSPHRASE: &str = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE";
const REGION: &str = "OCI_RESOURCE_PRINCIPAL_REGION";

/// An environment that verifies, to be spoilt in one place.
struct Setting {
    variables: BTreeMap<&'static str, OsString>,
    policy: Policy,
}

impl Setting {
    fn good() -> Self {
        Self::of(&Issued::by_session(NOW))
    }

    fn of(issued: &Issued) -> Self {
        let setting = Self { variables: BTreeMap::new(), policy: Policy::default() };
        setting
            .with(VERSION, "2.2")
            .with(TOKEN, issued.token())
            .with(KEY, &issued.pem)
            .with(REGION, "us-phoenix-1")
    }

    fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name, value.into());
        self
    }

    fn without(mut self, name: &'static str) -> Self {
        self.variables.remove(name);
        self
    }

    fn issuer_keys(mut self, file: &Path) -> Self {
        self.policy.issuer_keys = Some(file.to_path_buf());
        self
    }

    fn verify(&self) -> Result<Outcome, Refusal> {
        verify(&Environment::read(|name| self.variables.get(name).cloned()), &self.policy, at(NOW))
    }

    fn refused(&self) -> (&'static str, String) {
        let refusal = self.verify().unwrap_err();
        (refusal.code(), refusal.to_string())
    }

    #[track_caller]
    fn is_refused(&self, code: &str, text: &str) {
        assert_eq!(self.refused(), (code_of(code), text.to_owned()));
    }

    fn identity(&self) -> std::sync::Arc<fdk_principal::Identity> {
        self.verify().unwrap().principal().unwrap().identity()
    }
}

fn code_of(code: &str) -> &'static str {
    Box::leak(code.to_owned().into_boxed_str())
}

fn key_file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/principal/keys");
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn the_setting_to_be_spoilt_is_good() {
    let identity = Setting::good().identity();
    assert_eq!(identity.code(at(NOW)), "ok");
    assert_eq!(identity.tenancy(), "ocid1.tenancy.oc1..t");
    assert_eq!(identity.compartment(), "ocid1.compartment.oc1..c");
    assert_eq!(identity.resource_id(), Some("ocid1.fnfunc.oc1.phx.f"));
    assert_eq!(identity.resource_type(), Some("fnfunc"));
    assert_eq!(identity.expires_at(), at(NOW + 1200));
    assert_eq!(identity.claim("iat"), Some(&json!(NOW)));
    assert_eq!(identity.claim("absent"), None);
    assert!(identity.warnings().is_empty());
}

#[test]
fn absence_is_fine_unless_one_is_required() {
    let mut nothing = Setting { variables: BTreeMap::new(), policy: Policy::default() };
    assert!(matches!(nothing.verify(), Ok(Outcome::Absent)));
    nothing.policy.mode = Mode::Required;
    nothing.is_refused(
        "env_missing",
        "OCI_RESOURCE_PRINCIPAL_VERSION is not set, and FDK_PRINCIPAL=required asks for a resource principal; run on OCI Functions, or set FDK_PRINCIPAL=optional",
    );
}

#[test]
fn off_looks_at_nothing() {
    let mut setting = Setting::good().with(TOKEN, "garbage");
    setting.policy.mode = Mode::Off;
    assert!(matches!(setting.verify(), Ok(Outcome::Off)));
}

#[test]
fn any_variable_at_all_counts_as_present() {
    for name in [
        VERSION,
        TOKEN,
        KEY,
        PASSPHRASE,
        REGION,
        "OCI_RESOURCE_PRINCIPAL_RPT_ENDPOINT",
        "OCI_RESOURCE_PRINCIPAL_VERSION_FOR_LEAF_RESOURCE",
    ] {
        let setting = Setting { variables: BTreeMap::new(), policy: Policy::default() }.with(name, "");
        let code = if name == VERSION { "version_unsupported" } else { "env_missing" };
        assert_eq!(setting.refused().0, code, "{name}");
    }
}

#[test]
fn what_must_be_set() {
    for name in [VERSION, TOKEN, KEY, REGION] {
        Setting::good().without(name).is_refused(
            "env_missing",
            &format!(
                "{name} is not set, though other OCI_RESOURCE_PRINCIPAL_* variables are; OCI Functions sets all of them, so check what overrides the environment"
            ),
        );
    }
}

#[test]
fn versions() {
    for version in ["1.1", "2.1.2", "3.0", " 2.2", "2.2\n", ""] {
        let shown = version.replace('\n', "\\n");
        Setting::good().with(VERSION, version).is_refused(
            "version_unsupported",
            &format!(
                "OCI_RESOURCE_PRINCIPAL_VERSION is \"{shown}\"; only 2.2, which OCI Functions sets, is supported"
            ),
        );
    }
}

#[test]
fn regions() {
    let metadata = |json: Value| Setting::good().with("OCI_REGION_METADATA", json.to_string());
    let full = json!({"realmDomainComponent": "oraclecloud14.com", "realmKey": "oc14",
        "regionIdentifier": "eu-new-1", "regionKey": "NEW"});
    for (region, expected) in [
        ("us-phoenix-1", "us-phoenix-1"),
        ("US-Phoenix-1", "us-phoenix-1"),
        ("phx", "us-phoenix-1"),
        ("PHX", "us-phoenix-1"),
        ("new", "eu-new-1"),
        ("NEW", "eu-new-1"),
        ("xx-nowhere-9", "xx-nowhere-9"),
    ] {
        let identity = metadata(full.clone()).with(REGION, region).identity();
        assert_eq!((identity.region(), identity.realm_domain()), (expected, "oraclecloud14.com"), "{region}");
    }
    assert_eq!(Setting::good().identity().realm_domain(), "oraclecloud.com");
    assert_eq!(metadata(json!({})).identity().realm_domain(), "oraclecloud.com");

    for region in ["", "evil.example/x?", "us--phoenix", "-us", "us-", "us phoenix", "\u{fc}s-1"] {
        Setting::good().with(REGION, region).is_refused(
            "region_invalid",
            &format!(
                "OCI_RESOURCE_PRINCIPAL_REGION is \"{region}\", which is not a region; expected a name such as us-phoenix-1"
            ),
        );
    }
    Setting::good().with(REGION, "a".repeat(33) + ".").is_refused(
        "region_invalid",
        "OCI_RESOURCE_PRINCIPAL_REGION is a text of 34 characters, which is not a region; expected a name such as us-phoenix-1",
    );
    for json in
        [json!({"realmDomainComponent": "evil.example/"}), json!({"regionIdentifier": "a b"}), json!(7)]
    {
        metadata(json).is_refused(
            "region_invalid",
            "OCI_REGION_METADATA is not a JSON object whose regionIdentifier and realmDomainComponent are names; unset it, or give what OCI Functions sets",
        );
    }
}

#[test]
fn key_and_passphrase_have_one_form() {
    let text = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM and OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE must both be absolute paths or both be values";
    Setting::good().with(PASSPHRASE, "/file").is_refused("mixed_path_and_value", text);
    Setting::good().with(KEY, "/key").with(PASSPHRASE, "words").is_refused("mixed_path_and_value", text);
    // Set to nothing is not set.
    Setting::good().with(PASSPHRASE, "").identity();
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("large"), vec![b'a'; 64 * 1024 + 1]).unwrap();
    fs::write(path("binary"), [0xff, 0xfe]).unwrap();
    for (name, why) in [
        ("absent", "No such file or directory (os error 2)"),
        ("", "not a regular file"),
        ("large", "larger than 64 KiB"),
        ("binary", "not text"),
    ] {
        for (variable, code) in [(TOKEN, "token_unreadable"), (KEY, "key_unreadable")] {
            let file = path(name);
            Setting::good().with(variable, &file).is_refused(
                code,
                &format!(
                    "{file} ({variable}) cannot be read ({why}); check that the file exists and that this user may read it"
                ),
            );
        }
    }
    // A passphrase that begins with a slash looks like a path, so it is never shown.
    fs::write(path("key"), &Issued::by_session(NOW).pem).unwrap();
    Setting::good().with(KEY, path("key")).with(PASSPHRASE, "/my secret").is_refused(
        "key_unreadable",
        "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE cannot be read (No such file or directory (os error 2)); check that the file exists and that this user may read it",
    );
}

#[test]
fn tokens_of_the_wrong_form() {
    let good = Issued::by_session(NOW).token();
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = head.split_once('.').unwrap();
    let encode = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    for (token, why) in [
        (format!("{head}.\"{signature}"), "it holds characters no token has"),
        (format!("{head}.{signature}=="), "it holds characters no token has"),
        (format!("{head}\r\n.{signature}"), "it holds characters no token has"),
        ("rpst".to_owned(), "it does not have three parts"),
        (head.to_owned(), "it does not have three parts"),
        (format!("{good}.x"), "it does not have three parts"),
        (format!("x.{payload}.{signature}"), "its header is not JSON in base64url"),
        (format!("{header}.{}.{signature}", encode("[]")), "its payload is not JSON in base64url"),
        (
            format!("{header}.{}.{signature}", encode("{} ")[1..].to_owned()),
            "its payload is not JSON in base64url",
        ),
        (
            format!("{}.{payload}.{signature}", encode(r#"{"alg":"RS256","crit":[]}"#)),
            "its header demands an extension (crit)",
        ),
        (format!("{head}.a"), "its signature is not base64url"),
        (format!("{head}."), "its signature is cut short"),
        (good[..good.len() - 4].to_owned(), "its signature is cut short"),
    ] {
        Setting::good().with(TOKEN, token).is_refused(
            "token_malformed",
            &format!(
                "{TOKEN} is not a token: {why}; it must hold the token, or be the absolute path of its file"
            ),
        );
    }
    for token in ["", " \n"] {
        Setting::good().with(TOKEN, token).is_refused(
            "token_empty",
            &format!("{TOKEN} is empty; it must hold the token, or be the absolute path of its file"),
        );
    }
    for (json, text) in [
        (r#"{"alg":"none"}"#, "uses the algorithm \"none\""),
        (r#"{"alg":"HS256"}"#, "uses the algorithm \"HS256\""),
        (r#"{"alg":"rs256"}"#, "uses the algorithm \"rs256\""),
        (r#"{"alg":7}"#, "names no algorithm"),
        ("{}", "names no algorithm"),
    ] {
        Setting::good()
            .with(TOKEN, format!("{}.{payload}.", encode(json)))
            .is_refused("alg_not_allowed", &format!("the token in {TOKEN} {text}; only RS256 is accepted"));
    }
    // White space around a token is not part of it.
    Setting::good().with(TOKEN, format!("\n {good}\r\n")).identity();
}

#[test]
fn times() {
    let with = |name: &str, value: Value| Setting::of(&Issued::by_session(NOW).claim(name, value));
    let clock = "check the clock of this machine";
    with("exp", json!(NOW)).is_refused(
        "token_expired",
        &format!("the token in {TOKEN} expired 0 s ago; give a fresh token, or {clock}"),
    );
    assert_eq!(with("exp", json!(NOW + 1)).identity().code(at(NOW)), "ok_refresh_due");
    assert_eq!(with("exp", json!(NOW + 300)).identity().code(at(NOW)), "ok_refresh_due");
    assert_eq!(with("exp", json!(NOW + 301)).identity().code(at(NOW)), "ok");
    with("iat", json!(NOW + 60)).identity();
    with("iat", json!(NOW + 61)).is_refused(
        "token_issued_in_future",
        &format!("the token in {TOKEN} was issued 61 s in the future; {clock}"),
    );
    with("nbf", json!(NOW + 60)).identity();
    with("nbf", json!(NOW + 61)).is_refused(
        "token_not_yet_valid",
        &format!("the token in {TOKEN} is not valid for another 61 s; {clock}"),
    );
    for value in [json!("1795349700"), json!(-1), json!(1e300), json!(true), json!([])] {
        for name in ["exp", "iat", "nbf"] {
            with(name, value.clone()).is_refused(
                "token_claims_invalid",
                &format!(
                    "the claim {name} of the token in {TOKEN} is not a time in seconds; the token is not one OCI issues: give the one that it issued to this function"
                ),
            );
        }
    }
    Setting::of(&Issued::by_session(NOW + 20).expires(NOW + 10)).is_refused(
        "token_claims_invalid",
        &format!("the claim exp of the token in {TOKEN} is not after iat; the token is not one OCI issues: give the one that it issued to this function"),
    );
    // RFC 7519 allows fractions, and does not demand iat or nbf.
    with("exp", json!(1_795_348_810.5)).identity();
    Setting::of(&Issued::by_session(NOW).without("iat")).identity();
}

#[test]
fn claims() {
    for name in ["exp", "res_tenant", "res_compartment", "jwk"] {
        let text = format!(
            "the token in {TOKEN} lacks the claim {name}; the token is not one OCI issues: give the one that it issued to this function"
        );
        Setting::of(&Issued::by_session(NOW).without(name)).is_refused("missing_claim", &text);
        Setting::of(&Issued::by_session(NOW).claim(name, Value::Null)).is_refused("missing_claim", &text);
    }
    for name in ["res_tenant", "res_compartment"] {
        for value in [json!(7), json!("")] {
            Setting::of(&Issued::by_session(NOW).claim(name, value)).is_refused(
                "token_claims_invalid",
                &format!(
                    "the claim {name} of the token in {TOKEN} is not a text; the token is not one OCI issues: give the one that it issued to this function"
                ),
            );
        }
    }
    for (jwk, why) in [
        (json!("{not json"), "is not JSON"),
        (json!({"kty": "EC"}), "is not an RSA key"),
        (json!({"kty": "RSA", "n": "!"}), "lacks a modulus (n) or an exponent (e) in base64url"),
        (json!(7), "is not an RSA key"),
    ] {
        Setting::of(&Issued::by_session(NOW).claim("jwk", jwk)).is_refused(
            "token_claims_invalid",
            &format!("the claim jwk of the token in {TOKEN} {why}; the token is not one OCI issues: give the one that it issued to this function"),
        );
    }
}

#[test]
fn token_and_key_must_belong_together() {
    let other = Issued::by_other(NOW).pem;
    Setting::good().with(KEY, other).is_refused(
        "key_mismatch",
        &format!(
            "the token in {TOKEN} was issued for another key than the one in {KEY}; both must come from the same rotation"
        ),
    );
}

#[test]
fn keys_of_every_kind() {
    // The encrypted keys are the API key, so their token is the one bound to that.
    let with = |pem: String, passphrase: &str| {
        Setting::of(&Issued::by_other(NOW)).with(KEY, pem).with(PASSPHRASE, passphrase)
    };
    for name in ["pkcs1.pem", "encrypted_aes128.pem", "encrypted_scrypt.pem"] {
        with(key_file(name), "secret-words").identity();
        with(key_file(name).replace('\n', "\r\n"), "secret-words").identity();
    }
    let use_rsa = "use RSA of 2048 to 4096 bits";
    let cannot = |why: &str| format!("the private key in {KEY} cannot be used: {why}; {use_rsa}");
    for (name, code, text) in [
        ("ec_sec1.pem", "key_type_unsupported", cannot("it is not an RSA key")),
        ("ed25519.pem", "key_type_unsupported", cannot("it is not an RSA key")),
        ("rsa_pss.pem", "key_type_unsupported", cannot("it is not an RSA key")),
        ("rsa_2050.pem", "key_type_unsupported", cannot("its length is not a multiple of 512 bits")),
    ] {
        with(key_file(name), "").is_refused(code, &text);
    }
    // Long enough, but of nobody's token.
    assert_eq!(with(key_file("rsa_4096.pem"), "").refused().0, "key_mismatch");

    let unsupported = format!(
        "the private key in {KEY} is encrypted in a form not supported here; convert it with openssl pkcs8 -topk8 -v2 aes-256-cbc"
    );
    for name in ["encrypted_des3.pem", "encrypted_sha1.pem", "encrypted_pbes1.pem"] {
        with(key_file(name), "secret-words").is_refused("key_encrypted_unsupported", &unsupported);
    }
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----";
    with(legacy.to_owned(), "secret-words").is_refused("key_encrypted_unsupported", &unsupported);

    with(key_file("encrypted_aes128.pem"), "").is_refused(
        "key_encrypted_no_passphrase",
        &format!(
            "the private key in {KEY} is encrypted and no passphrase is set; set one, or give the key unencrypted"
        ),
    );
    with(key_file("encrypted_aes128.pem"), "secret-word").is_refused(
        "key_decrypt_failed",
        &format!("the private key in {KEY} does not open with the passphrase; check the passphrase"),
    );
}

#[test]
fn a_passphrase_may_come_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("key"), key_file("encrypted_aes128.pem")).unwrap();
    for passphrase in ["secret-words", "secret-words\n", "secret-words\r\n"] {
        fs::write(path("words"), passphrase).unwrap();
        let setting =
            Setting::of(&Issued::by_other(NOW)).with(KEY, path("key")).with(PASSPHRASE, path("words"));
        setting.identity();
    }
}

#[test]
fn texts_that_are_no_key() {
    let pem = Issued::by_session(NOW).pem;
    for (text, why) in [
        ("private.pem".to_owned(), "there is no BEGIN line"),
        (String::new(), "there is no BEGIN line"),
        (pem.replace('\n', "\\n"), "its line breaks are the two characters \\n; write real line breaks"),
        (pem.replace("-----END", "----END"), "the END line is missing"),
        (pem.replace('M', "!"), "its body is not base64"),
        (pem.replace("PRIVATE KEY", "RSA PRIVATE KEY"), "it is not a PKCS#1 or PKCS#8 structure"),
        (pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "it is not a PKCS#8 structure"),
    ] {
        Setting::good()
            .with(KEY, text)
            .is_refused("key_malformed", &format!("{KEY} is not a private key in PEM: {why}; it must hold the key, or be the absolute path of its file"));
    }
    let public = vectors()["public_keys"]["session"].as_str().unwrap();
    let not_private = format!("{KEY} is not a private key; give the private half of the pair");
    Setting::good().with(KEY, public).is_refused("key_malformed", &not_private);
}

#[test]
fn strict_refuses_what_is_else_a_warning() {
    let issued = Issued::by_session(NOW).claim("res_type", "instance");
    let mut setting = Setting::of(&issued).with("FN_FN_ID", "ocid1.fnfunc.oc1.phx.g");
    let (by_type, by_id) = (
        "the token is for a resource of type instance, not fnfunc; it is not a function's token",
        "the token is for the resource ocid1.fnfunc.oc1.phx.f, but FN_FN_ID is ocid1.fnfunc.oc1.phx.g; it is another function's token",
    );
    let warnings: Vec<String> = setting.identity().warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings, [by_type, by_id]);
    let refused = |doubt: &str| {
        format!("{TOKEN}: {doubt}; give this function's own token, or unset FDK_PRINCIPAL_STRICT")
    };
    setting.policy.strict = true;
    setting.is_refused("wrong_resource_type", &refused(by_type));

    let mut setting = Setting::good().with("FN_FN_ID", "ocid1.fnfunc.oc1.phx.g");
    setting.policy.strict = true;
    setting.is_refused("resource_id_mismatch", &refused(by_id));
    let mut setting = Setting::of(&Issued::by_session(NOW).without("res_type"));
    setting.policy.strict = true;
    let by_none = "the token is for a resource of type unknown, not fnfunc; it is not a function's token";
    setting.is_refused("wrong_resource_type", &refused(by_none));
}

#[test]
fn issuer_keys() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jwks.json");
    let write = |json: Value| fs::write(&file, json.to_string()).unwrap();
    let named = |key: &fdk_principal::PublicKey, kid: &str| {
        let mut jwk = key.to_jwk();
        jwk["kid"] = json!(kid);
        jwk
    };
    let shown = file.display();
    let document = vectors();
    let real = || {
        let setting = Setting::good().with(TOKEN, document["rpst"].as_str().unwrap());
        setting.issuer_keys(&file)
    };
    let (issuer, other) = (
        issuer_key(),
        fdk_principal::PublicKey::from_pem(document["public_keys"]["api"].as_str().unwrap()).unwrap(),
    );

    real().is_refused(
        "issuer_keys_unreadable",
        &format!(
            "{shown} (issuer keys) cannot be read (No such file or directory (os error 2)); check that the file exists and that this user may read it"
        ),
    );
    for (json, why) in [
        ("{", "it is not JSON"),
        ("{}", "it has no list named keys"),
        (r#"{"keys":[]}"#, "it holds no RSA key for signatures"),
        (r#"{"keys":[{"kty":"EC"},{"kty":"RSA","use":"enc"}]}"#, "it holds no RSA key for signatures"),
        (r#"{"keys":[{"kty":"RSA"}]}"#, "one of its RSA keys lacks n or e"),
    ] {
        fs::write(&file, json).unwrap();
        real().is_refused(
            "issuer_keys_malformed",
            &format!("{shown} (issuer keys) is not a JWK set (RFC 7517): {why}; give a file with the issuer's public keys, or none"),
        );
    }
    for keys in [
        json!([issuer.to_jwk()]),
        json!([named(&other, "old"), named(&issuer, "asw")]),
        json!([other.to_jwk(), issuer.to_jwk()]),
    ] {
        write(json!({"keys": keys}));
        real().identity();
    }
    write(json!({"keys": [named(&issuer, "old")]}));
    real().is_refused(
        "bad_signature",
        &format!(
            "the token names a signing key that is not in {shown} (issuer keys); add the issuer's current keys to the file"
        ),
    );
    let forged = format!(
        "the token is not signed by any key in {shown} (issuer keys); the token was forged or altered, or the file holds another issuer's keys"
    );
    write(json!({"keys": [named(&other, "asw")]}));
    real().is_refused("bad_signature", &forged);
    write(json!({"keys": [issuer.to_jwk()]}));
    Setting::good().issuer_keys(&file).is_refused("bad_signature", &forged);
    // Without keys the same forged token passes: nobody but the issuer could tell.
    Setting::good().identity();
}
