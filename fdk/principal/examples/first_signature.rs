//! How long the first signature of a process takes, from the key's PEM on:
//! `cargo run --release -p fdk-principal --example first_signature KEY.pem`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it tells a person")]

use fdk_principal::ApiKey;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("usage: first_signature KEY.pem");
        return ExitCode::from(2);
    };
    let began = Instant::now();
    let key = match ApiKey::from_file("tenancy/user/fingerprint", Path::new(&file), None) {
        Ok(key) => key,
        Err(refusal) => {
            eprintln!("{refusal}");
            return ExitCode::FAILURE;
        }
    };
    println!("load             {:?}", began.elapsed());
    for name in ["first signature", "second", "third"] {
        let began = Instant::now();
        let mut request = http::Request::new("");
        *request.uri_mut() = http::Uri::from_static("https://objectstorage.us-phoenix-1.oraclecloud.com/n/");
        if let Err(refusal) = key.sign(&mut request) {
            eprintln!("{refusal}");
            return ExitCode::FAILURE;
        }
        println!("{name:<16} {:?}", began.elapsed());
    }
    ExitCode::SUCCESS
}
