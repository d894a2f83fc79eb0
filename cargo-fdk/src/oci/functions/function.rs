//! Functions, and the calls of them.

use super::super::{Asked, Fault, Version, invoke as call, ocid};
use super::attributes::{self, IMAGE, OF_FUNCTIONS, compartment_of};
use super::{application, details, etag, nothing, page, required, shown};
use crate::policy::{
    CREATE_FUNCTION, DELETE_FUNCTION, GET_FUNCTION, INVOKE_FUNCTION, LIST_FUNCTIONS, Operation, Target,
    UPDATE_FUNCTION,
};
use crate::server::respond::Body;
use crate::store::Window;
use crate::store::model::{App, Func};
use http::Response;
use serde_json::{Map, Value, json};

/// What OCI grants, in MB.
const MEMORY: [u64; 6] = [128, 256, 512, 1024, 2048, 3072];

pub(super) fn list(asked: &Asked<'_>, version: Version) -> Result<Response<Body>, Fault> {
    let id = asked.query.require("applicationId")?;
    let app = in_app(asked, &LIST_FUNCTIONS, id)?;
    let all = asked.platform.store.funcs(&app.id, None, &Window::whole())?.items;
    page::of(asked, all.iter().map(|func| show(asked, version, &app, func)).collect())
}

pub(super) async fn create(asked: &Asked<'_>, version: Version) -> Result<Response<Body>, Fault> {
    let details = details(asked)?;
    let app = in_app(asked, &CREATE_FUNCTION, required(&details, "applicationId")?)?;
    let image = image(&details, version)?.ok_or_else(|| Fault::missing(source(version)))?;
    let memory = memory(&details)?.ok_or_else(|| Fault::missing("memoryInMBs"))?;
    let mut annotations = attributes::keep(&details, &OF_FUNCTIONS);
    let known = known(asked, &image);
    annotations.insert(IMAGE.into(), image.into());
    let func = Func {
        name: required(&details, "displayName")?.to_owned(),
        app_id: app.id.clone(),
        image: known,
        memory,
        timeout: timeout(&details)?.unwrap_or(30),
        config: attributes::config(&details)?.unwrap_or_default(),
        annotations,
        ..Func::default()
    };
    let func = asked.platform.store.create_func(func)?;
    // Now, and not at the first call: a key takes a while.
    let (principals, of, its) = (asked.oci.principals.clone(), func.clone(), app.clone());
    let issued = tokio::task::spawn_blocking(move || principals.of(&its, &of)).await;
    issued.map_err(|error| Fault::internal(&error))?.map_err(|error| Fault::internal(&error))?;
    asked.oci.read_again(asked.platform);
    Ok(shown(&show(asked, version, &app, &func), &etag(&func.id, &func.updated_at)))
}

pub(super) fn get(asked: &Asked<'_>, version: Version, id: &str) -> Result<Response<Body>, Fault> {
    let (app, func) = find(asked, &GET_FUNCTION, id)?;
    Ok(shown(&show(asked, version, &app, &func), &etag(&func.id, &func.updated_at)))
}

pub(super) fn update(asked: &Asked<'_>, version: Version, id: &str) -> Result<Response<Body>, Fault> {
    let (app, func) = find(asked, &UPDATE_FUNCTION, id)?;
    asked.check_etag(&etag(&func.id, &func.updated_at))?;
    let details = details(asked)?;
    let mut change = Func {
        memory: memory(&details)?.unwrap_or_default(),
        timeout: timeout(&details)?.unwrap_or_default(),
        config: attributes::instead(&func.config, attributes::config(&details)?),
        annotations: attributes::keep(&details, &OF_FUNCTIONS),
        ..Func::default()
    };
    if let Some(image) = image(&details, version)? {
        change.image = known(asked, &image);
        change.annotations.insert(IMAGE.into(), image.into());
    }
    let func = asked.platform.store.update_func(&func.id, change)?;
    Ok(shown(&show(asked, version, &app, &func), &etag(&func.id, &func.updated_at)))
}

pub(super) fn delete(asked: &Asked<'_>, id: &str) -> Result<Response<Body>, Fault> {
    let (app, func) = find(asked, &DELETE_FUNCTION, id)?;
    asked.check_etag(&etag(&func.id, &func.updated_at))?;
    asked.platform.store.delete_func(&func.id)?;
    asked.platform.pool.retire(&func.id);
    asked.oci.read_again(asked.platform);
    Ok(nothing(id, compartment_of(asked.tenancy(), &app)))
}

pub(super) async fn invoke(asked: &Asked<'_>, id: &str) -> Result<Response<Body>, Fault> {
    let (app, func) = find(asked, &INVOKE_FUNCTION, id)?;
    let compartment = compartment_of(asked.tenancy(), &app);
    call::invoke(asked, &func.id, &compartment).await
}

/// An application in which the caller may do something.
fn in_app(asked: &Asked<'_>, operation: &'static Operation, ocid: &str) -> Result<App, Fault> {
    application::find(asked, operation, ocid)
}

/// A function that the caller may do something with; one that it may not is not there.
fn find(asked: &Asked<'_>, operation: &'static Operation, ocid: &str) -> Result<(App, Func), Fault> {
    let missing = Fault::not_authorized_or_not_found;
    let func = asked.platform.store.func(&ocid::id("fnfunc", ocid).ok_or_else(missing)?)?;
    let app = asked.platform.store.app(&func.app_id)?;
    let target = Target {
        compartment: compartment_of(asked.tenancy(), &app),
        variables: vec![("target.function.id", ocid.to_owned()), ("target.app.id", ocid::app(&app.id))],
    };
    asked.may(operation, &target)?;
    Ok((app, func))
}

/// Where a version has the image's name.
fn source(version: Version) -> &'static str {
    match version {
        Version::V20181201 => "image",
        Version::V20260325 => "sourceDetails",
    }
}

/// The name of the image, in either of its places.
fn image(details: &Map<String, Value>, version: Version) -> Result<Option<String>, Fault> {
    let source = details.get("sourceDetails").filter(|source| !source.is_null());
    if let Some(source) = source {
        if source["sourceType"] != "CONTAINER_IMAGE" {
            return Err(Fault::invalid(
                "sourceDetails: only the sourceType CONTAINER_IMAGE is emulated here",
            ));
        }
        let image = source["image"].as_str().filter(|image| !image.is_empty());
        return image
            .map(|image| Some(image.to_owned()))
            .ok_or_else(|| Fault::missing("sourceDetails.image"));
    }
    let image = details.get("image").filter(|image| !image.is_null());
    match (image, version) {
        (Some(image), Version::V20181201) => {
            let image = image.as_str().filter(|image| !image.is_empty());
            image.map(|image| Some(image.to_owned())).ok_or_else(|| Fault::invalid("image must be a text"))
        }
        _ => Ok(None),
    }
}

/// The name under which an image was built here: its own, or its last part, without the registry's.
fn known(asked: &Asked<'_>, image: &str) -> String {
    let images = &asked.platform.images;
    let last = image.rsplit('/').next().unwrap_or(image);
    let here = [image, last].into_iter().find(|name| images.find(name).is_some());
    here.unwrap_or(image).to_owned()
}

/// In MB. The user's own document gives a number; some clients send it as a text.
fn memory(details: &Map<String, Value>) -> Result<Option<u64>, Fault> {
    let said = match details.get("memoryInMBs") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
    };
    let granted = said.filter(|memory| MEMORY.contains(memory));
    granted
        .map(Some)
        .ok_or_else(|| Fault::invalid("memoryInMBs must be one of 128, 256, 512, 1024, 2048, 3072"))
}

/// In seconds.
fn timeout(details: &Map<String, Value>) -> Result<Option<i32>, Fault> {
    let said = match details.get("timeoutInSeconds") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_i64().and_then(|seconds| i32::try_from(seconds).ok()),
    };
    let granted = said.filter(|seconds| (5..=300).contains(seconds));
    granted.map(Some).ok_or_else(|| Fault::invalid("timeoutInSeconds must be from 5 to 300"))
}

fn show(asked: &Asked<'_>, version: Version, app: &App, func: &Func) -> Value {
    let image = func.annotations.get(IMAGE).and_then(Value::as_str).unwrap_or(&func.image);
    let mut shown = json!({
        "id": ocid::func(&func.id),
        "displayName": func.name,
        "lifecycleState": "ACTIVE",
        "applicationId": ocid::app(&app.id),
        "compartmentId": compartment_of(asked.tenancy(), app),
        "shape": if app.shape.is_empty() { "GENERIC_X86" } else { &app.shape },
        "memoryInMBs": func.memory,
        "config": func.config,
        "timeoutInSeconds": func.timeout,
        "invokeEndpoint": asked.base(),
        "timeCreated": func.created_at,
        "timeUpdated": func.updated_at,
    });
    if let Value::Object(shown) = &mut shown {
        attributes::show(&func.annotations, &OF_FUNCTIONS, shown);
        let digest = shown.remove("imageDigest").unwrap_or_default();
        let source = json!({"sourceType": "CONTAINER_IMAGE", "image": image, "imageDigest": digest});
        shown.insert("sourceDetails".into(), source);
        if version == Version::V20181201 {
            shown.insert("image".into(), image.into());
            shown.insert("imageDigest".into(), digest);
        }
    }
    shown
}
