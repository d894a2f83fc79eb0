//! The PEM envelope (RFC 7468), read leniently: other text around the block, CR LF and odd line widths are fine.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// One block: its label and its decoded bytes.
pub(crate) struct Pem<'a> {
    pub(crate) label: &'a str,
    pub(crate) der: Zeroizing<Vec<u8>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NoBlock,
    EscapedLineBreaks,
    Unfinished,
    NotBase64,
    /// `Proc-Type: 4,ENCRYPTED` with a `DEK-Info`: OpenSSL's format before PKCS#8, keyed by one round of MD5.
    LegacyEncryption,
}

/// The first block of the text.
pub(crate) fn first_block(text: &str) -> Result<Pem<'_>, Fault> {
    let mut lines = text.lines().map(str::trim);
    let label = lines
        .find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .filter(|label| !label.contains('-'))
        .ok_or_else(|| if text.contains("\\n") { Fault::EscapedLineBreaks } else { Fault::NoBlock })?;

    // Sized for the whole text, so that no growth leaves a copy of a private key in freed memory.
    let mut body = Zeroizing::new(String::with_capacity(text.len()));
    let mut finished = false;
    for line in lines {
        if line.strip_prefix("-----END ").and_then(|rest| rest.strip_suffix("-----")) == Some(label) {
            finished = true;
            break;
        }
        if line.starts_with("Proc-Type:") || line.starts_with("DEK-Info:") {
            return Err(Fault::LegacyEncryption);
        }
        body.push_str(line);
    }
    if !finished {
        return Err(Fault::Unfinished);
    }
    let mut der = Zeroizing::new(Vec::with_capacity(body.len()));
    STANDARD.decode_vec(body.as_bytes(), &mut der).map_err(|_| Fault::NotBase64)?;
    Ok(Pem { label, der })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<Fault> {
        first_block(text).err()
    }

    #[test]
    fn text_around_the_block_and_line_endings_do_not_matter() {
        let text =
            "a comment\r\n-----BEGIN A KEY-----\r\n aGVs\r\nbG8= \r\n-----END A KEY-----\r\nOCI_API_KEY";
        let pem = first_block(text).unwrap();
        assert_eq!((pem.label, pem.der.as_slice()), ("A KEY", b"hello".as_slice()));
    }

    #[test]
    fn each_fault_is_told_apart() {
        assert_eq!(fault(""), Some(Fault::NoBlock));
        assert_eq!(fault("aGVsbG8="), Some(Fault::NoBlock));
        assert_eq!(fault("-----BEGIN A-----\\naGVsbG8=\\n-----END A-----"), Some(Fault::EscapedLineBreaks));
        assert_eq!(fault("-----BEGIN A-----\naGVsbG8="), Some(Fault::Unfinished));
        assert_eq!(fault("-----BEGIN A-----\naGVsbG8=\n-----END B-----"), Some(Fault::Unfinished));
        assert_eq!(fault("-----BEGIN A-----\n@@@@\n-----END A-----"), Some(Fault::NotBase64));
        assert_eq!(fault("-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n"), Some(Fault::LegacyEncryption));
    }
}
