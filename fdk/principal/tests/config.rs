//! API keys from a configuration file of the OCI tools.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Issued, NOW, vectors};
use fdk_principal::{ApiKey, Refusal};

/// A configuration file and its keys, in a directory of their own.
struct Config {
    directory: tempfile::TempDir,
}

impl Config {
    /// `@` in the text stands for the directory, `%` for the fingerprint of the API key.
    fn new(text: &str) -> Self {
        let config = Self { directory: tempfile::tempdir().unwrap() };
        let fingerprint = vectors()["api_fingerprint_md5"].as_str().unwrap();
        let place = config.directory.path().to_str().unwrap();
        fs::write(config.file("config"), text.replace('@', place).replace('%', fingerprint)).unwrap();
        fs::write(config.file("plain.pem"), vectors()["keys"]["api_key.pkcs8.pem"].as_str().unwrap())
            .unwrap();
        let encrypted =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/principal/keys/encrypted_aes128.pem");
        fs::copy(encrypted, config.file("encrypted.pem")).unwrap();
        fs::write(config.file("session.pem"), Issued::by_session(NOW).pem).unwrap();
        fs::write(config.file("token"), Issued::by_session(NOW).token()).unwrap();
        config
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self, profile: &str) -> Result<ApiKey, Refusal> {
        ApiKey::from_config(&self.file("config"), profile)
    }

    fn refused(&self, profile: &str) -> (&'static str, String) {
        let refusal = self.open(profile).unwrap_err();
        let place = self.directory.path().to_str().unwrap();
        (refusal.code(), refusal.to_string().replace(place, "@"))
    }
}

const GOOD: &str = "
# made by hand
[DEFAULT]
user = u
tenancy=t
fingerprint=%
key_file=@/plain.pem
region=us-phoenix-1

; the same user, with a passphrase
[ENCRYPTED]
key_file=@/encrypted.pem
pass_phrase=secret-words

[OTHER-USER]
user=v
region = eu-frankfurt-1

[SESSION]
key_file=@/session.pem
security_token_file=@/token
";

#[test]
fn profiles() {
    let config = Config::new(GOOD);
    let fingerprint = vectors()["api_fingerprint_md5"].as_str().unwrap();
    for (profile, user, region) in [
        ("DEFAULT", "u", "us-phoenix-1"),
        ("ENCRYPTED", "u", "us-phoenix-1"),
        ("OTHER-USER", "v", "eu-frankfurt-1"),
    ] {
        let key = config.open(profile).unwrap();
        assert_eq!(key.key_id(), format!("t/{user}/{fingerprint}"));
        assert_eq!(key.region(), Some(region));
        assert_eq!(key.fingerprint().as_deref(), Some(fingerprint));
    }
    let key = config.open("SESSION").unwrap();
    assert_eq!(key.key_id(), format!("ST${}", Issued::by_session(NOW).token()));
}

#[test]
fn the_home_directory_has_a_short_name() {
    // What is below it is not ours to write; that the name is replaced shows in the message.
    let config = Config::new("[DEFAULT]\nkey_file=~/no/such/key.pem\n");
    let (code, text) = config.refused("DEFAULT");
    let home = std::env::home_dir().unwrap();
    assert_eq!(code, "key_unreadable");
    assert!(text.starts_with(&format!("{}/no/such/key.pem (key_file of", home.display())), "{text}");
}

#[test]
fn each_refusal_names_the_profile_and_the_file() {
    let config = Config::new(GOOD);
    assert_eq!(
        config.refused("PROD"),
        (
            "config_profile_missing",
            "@/config (profile PROD) does not exist; the file has DEFAULT, ENCRYPTED, OTHER-USER, SESSION: name one of them, or add this one"
                .into()
        )
    );
    assert_eq!(
        Config::new("[DEFAULT]\nkey_file=@/plain.pem\nfingerprint=%\ntenancy=\n").refused("DEFAULT"),
        ("config_value_missing", "@/config (profile DEFAULT) has no tenancy; add it".into())
    );
    assert_eq!(
        Config::new("").refused("DEFAULT"),
        ("config_value_missing", "@/config (profile DEFAULT) has no key_file; add it".into())
    );
    assert_eq!(
        Config::new(&GOOD.replace("@/plain.pem", "@/session.pem")).refused("DEFAULT"),
        (
            "config_fingerprint_mismatch",
            "@/config (profile DEFAULT) has a fingerprint that is not the one of @/session.pem; correct fingerprint or key_file".into()
        )
    );
    assert_eq!(
        Config::new(&GOOD.replace("secret-words", "wrong")).refused("ENCRYPTED"),
        (
            "key_decrypt_failed",
            "the private key in @/encrypted.pem (key_file of profile ENCRYPTED in @/config) does not open with the passphrase; check the passphrase".into()
        )
    );
    fs::remove_file(config.file("token")).unwrap();
    assert_eq!(config.refused("SESSION").0, "token_unreadable");
    fs::write(config.file("token"), "a b").unwrap();
    assert_eq!(config.refused("SESSION").0, "token_malformed");
    fs::remove_file(config.file("config")).unwrap();
    assert_eq!(
        config.refused("DEFAULT"),
        (
            "config_unreadable",
            "@/config (profile DEFAULT) cannot be read (No such file or directory (os error 2)); check that the file exists and that this user may read it".into()
        )
    );
}

#[test]
fn a_key_file_without_a_configuration() {
    let config = Config::new("");
    let key = ApiKey::from_file("a/b/c", &config.file("encrypted.pem"), Some("secret-words")).unwrap();
    assert_eq!((key.key_id(), key.region()), ("a/b/c", None));
    assert_eq!(key.fingerprint().as_deref(), vectors()["api_fingerprint_md5"].as_str());
    let refusal = ApiKey::from_file("a/b/c", &config.file("token"), None).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!(
            "{} (key file) is not a private key in PEM: there is no BEGIN line; it must hold the key, or be the absolute path of its file",
            config.file("token").display()
        )
    );
}
