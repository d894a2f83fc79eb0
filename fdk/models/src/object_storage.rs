//! A source of files: a bucket of OCI Object Storage, read with the identity that this environment has.

use crate::place;
use crate::progress::Progress;
use fdk_inference::manifest::{File, ObjectStorage};
use fdk_principal::{ApiKey, Client, Environment, Outcome, Policy, verify};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Downloads the missing files. The error names the file and says why not.
pub(crate) fn obtain(
    place: &ObjectStorage,
    missing: &[&File],
    folder: &Path,
    progress: &Progress,
) -> Result<(), String> {
    let client = client()?;
    for file in missing {
        download(&client, place, file, folder, progress).map_err(|why| format!("{}: {why}", file.path))?;
    }
    Ok(())
}

/// As the resource principal of the environment, or else with the API key of `~/.oci/config`, whose profile
/// `OCI_CLI_PROFILE` names, as in Oracle's own tools.
fn client() -> Result<Client, String> {
    let environment = Environment::from_process();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let client = if environment.is_present() {
        let policy = Policy::read(|name| std::env::var_os(name)).map_err(|refusal| refusal.to_string())?;
        match verify(&environment, &policy, SystemTime::now()).map_err(|refusal| refusal.to_string())? {
            Outcome::Verified(principal) => {
                Client::of_principal(principal).map_err(|error| error.to_string())?
            }
            Outcome::Absent | Outcome::Off => return Err("FDK_PRINCIPAL is off".into()),
        }
    } else {
        let file = ApiKey::config_file()
            .ok_or("no identity: there is no resource principal, and HOME is not set")?;
        let profile = variable("OCI_CLI_PROFILE").unwrap_or_else(|| "DEFAULT".into());
        let key = ApiKey::from_config(&file, &profile).map_err(|refusal| refusal.to_string())?;
        let region = key.region().ok_or("the profile names no region")?.to_owned();
        Client::new(Arc::new(key), &region, "oraclecloud.com").map_err(|error| error.to_string())?
    };
    match variable("FDK_OBJECT_STORAGE_ENDPOINT") {
        Some(url) => client.with_object_storage(&url).map_err(|error| error.to_string()),
        None => Ok(client),
    }
}

fn download(
    client: &Client,
    place: &ObjectStorage,
    file: &File,
    folder: &Path,
    progress: &Progress,
) -> Result<(), String> {
    let fails = |error: io::Error| error.to_string();
    let partial = place::partial(folder, file).map_err(fails)?;
    let object = client.object(&place.namespace, &place.bucket, &place.object(file));
    let mut body = object.map_err(|error| error.to_string())?.take(file.size + 1);
    let mut out = fs::File::create(&partial).map_err(fails)?;
    let bar = progress.bar(&file.path, file.size, 0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match body.read(&mut buffer).map_err(fails)? {
            0 => break,
            read => {
                out.write_all(&buffer[..read]).map_err(fails)?;
                bar.inc(read as u64);
            }
        }
    }
    bar.finish();
    place::finish(&partial, folder, file)
}
