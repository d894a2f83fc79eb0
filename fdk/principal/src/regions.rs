//! The three-letter region codes, for the variable that may hold one (`phx` for `us-phoenix-1`).
//!
//! The table is only a fall-back: every function is told its own code in `OCI_REGION_METADATA`, and regions are added
//! faster than libraries are released.

/// The region a lower-case code stands for.
pub(crate) fn by_code(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, region)| *region)
}

const CODES: &[(&str, &str)] = &[
    ("ams", "eu-amsterdam-1"),
    ("arn", "eu-stockholm-1"),
    ("auh", "me-abudhabi-1"),
    ("bog", "sa-bogota-1"),
    ("bom", "ap-mumbai-1"),
    ("brs", "uk-gov-cardiff-1"),
    ("cdg", "eu-paris-1"),
    ("cwl", "uk-cardiff-1"),
    ("dxb", "me-dubai-1"),
    ("fra", "eu-frankfurt-1"),
    ("gru", "sa-saopaulo-1"),
    ("hyd", "ap-hyderabad-1"),
    ("iad", "us-ashburn-1"),
    ("icn", "ap-seoul-1"),
    ("jed", "me-jeddah-1"),
    ("jnb", "af-johannesburg-1"),
    ("kix", "ap-osaka-1"),
    ("lfi", "us-langley-1"),
    ("lhr", "uk-london-1"),
    ("lin", "eu-milan-1"),
    ("ltn", "uk-gov-london-1"),
    ("luf", "us-luke-1"),
    ("mad", "eu-madrid-1"),
    ("mel", "ap-melbourne-1"),
    ("mrs", "eu-marseille-1"),
    ("mtz", "il-jerusalem-1"),
    ("mty", "mx-monterrey-1"),
    ("nja", "ap-chiyoda-1"),
    ("nrt", "ap-tokyo-1"),
    ("ord", "us-chicago-1"),
    ("phx", "us-phoenix-1"),
    ("pia", "us-gov-chicago-1"),
    ("qro", "mx-queretaro-1"),
    ("ric", "us-gov-ashburn-1"),
    ("scl", "sa-santiago-1"),
    ("sin", "ap-singapore-1"),
    ("sjc", "us-sanjose-1"),
    ("syd", "ap-sydney-1"),
    ("tus", "us-gov-phoenix-1"),
    ("ukb", "ap-ibaraki-1"),
    ("vap", "sa-valparaiso-1"),
    ("vcp", "sa-vinhedo-1"),
    ("yny", "ap-chuncheon-1"),
    ("yul", "ca-montreal-1"),
    ("yyz", "ca-toronto-1"),
    ("zrh", "eu-zurich-1"),
];
