//! Where the token and the key come from, and reading them: once for values, again and again for files.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::environment::{self, KEY, PASSPHRASE, TOKEN};
use crate::error::{Kind, Material, Origin, Refusal};
use crate::key::{PrivateKey, trimmed_passphrase};
use crate::token::Token;

/// An environment whose form has been checked.
pub(crate) struct Sources {
    pub(crate) token: Given,
    pub(crate) key: Given,
    pub(crate) passphrase: Option<Given>,
    pub(crate) region: String,
    pub(crate) realm_domain: String,
    pub(crate) function_id: Option<String>,
}

impl Sources {
    pub(crate) fn token_origin(&self) -> Origin {
        environment::origin(TOKEN, &self.token)
    }

    pub(crate) fn key_origin(&self) -> Origin {
        environment::origin(KEY, &self.key)
    }

    pub(crate) fn any_file(&self) -> bool {
        self.token.is_path() || self.key.is_path()
    }

    pub(crate) fn read_token(&self) -> Result<Token, Refusal> {
        let text = self.token.read().map_err(|error| Kind::Unreadable {
            what: Material::Token,
            origin: self.token_origin(),
            error,
        })?;
        Token::parse(&text).map_err(|fault| Kind::Token(self.token_origin(), fault).into())
    }

    pub(crate) fn read_key(&self) -> Result<PrivateKey, Refusal> {
        let text = self.key.read().map_err(|error| Kind::Unreadable {
            what: Material::Key,
            origin: self.key_origin(),
            error,
        })?;
        let passphrase = match &self.passphrase {
            Some(given) => Some(trimmed_passphrase(&given.read().map_err(|error| Kind::Unreadable {
                what: Material::Passphrase,
                // Without its path: a passphrase that begins with a slash looks like one.
                origin: Origin { name: PASSPHRASE.into(), path: None },
                error,
            })?)),
            None => None,
        };
        PrivateKey::from_pem(&text, passphrase.as_ref().map(|text| text.as_str()))
            .map_err(|fault| Kind::Key(self.key_origin(), fault).into())
    }
}

/// A value, or the absolute path of a file that holds it.
#[derive(Clone)]
pub(crate) enum Given {
    Value(Zeroizing<String>),
    Path(PathBuf),
}

impl Given {
    pub(crate) fn is_path(&self) -> bool {
        self.path().is_some()
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Value(_) => None,
        }
    }

    fn read(&self) -> io::Result<Zeroizing<String>> {
        match self {
            Self::Value(text) => Ok(text.clone()),
            Self::Path(path) => read_small_file(path),
        }
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("a value"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A real token is 2 kB and a key 3 kB: what is far larger is some other file, and not worth the memory.
const LARGEST_FILE: u64 = 64 * 1024;

pub(crate) fn read_small_file(path: &Path) -> io::Result<Zeroizing<String>> {
    // Asked before opening, since opening a named pipe would wait for a writer.
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    // One byte more than expected, so that the buffer holding a key does not grow and leave a copy behind.
    let expected = usize::try_from(metadata.len().min(LARGEST_FILE)).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected + 1));
    File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other("larger than 64 KiB"));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(io::Error::other("not text")),
    }
}
