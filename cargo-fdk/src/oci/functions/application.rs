//! Applications.

use super::super::{Asked, Fault, ocid};
use super::attributes::{self, OF_APPS, compartment_of};
use super::{details, etag, nothing, page, required, shown};
use crate::policy::{
    CREATE_APPLICATION, DELETE_APPLICATION, GET_APPLICATION, LIST_APPLICATIONS, Operation, Target,
    UPDATE_APPLICATION,
};
use crate::server::respond::Body;
use crate::store::Window;
use crate::store::model::App;
use http::{Response, StatusCode};
use serde_json::{Value, json};

pub(super) fn list(asked: &Asked<'_>) -> Result<Response<Body>, Fault> {
    let compartment = asked.query.require("compartmentId")?;
    asked.may(&LIST_APPLICATIONS, &Target { compartment: compartment.to_owned(), variables: Vec::new() })?;
    let apps = asked.platform.store.apps(None, &Window::whole()).items;
    let there = apps.iter().map(|app| show(asked, app)).filter(|app| app["compartmentId"] == compartment);
    page::of(asked, there.collect())
}

pub(super) fn create(asked: &Asked<'_>) -> Result<Response<Body>, Fault> {
    let details = details(asked)?;
    let compartment = required(&details, "compartmentId")?.to_owned();
    asked.may(&CREATE_APPLICATION, &Target { compartment: compartment.clone(), variables: Vec::new() })?;
    let mut annotations = attributes::keep(&details, &OF_APPS);
    attributes::put_in(&mut annotations, &compartment);
    // The user's own document gives one, and OCI insists.
    if details.get("subnetIds").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Err(Fault::missing("subnetIds"));
    }
    let app = App {
        name: required(&details, "displayName")?.to_owned(),
        config: attributes::config(&details)?.unwrap_or_default(),
        syslog_url: details.get("syslogUrl").and_then(Value::as_str).map(str::to_owned),
        shape: details.get("shape").and_then(Value::as_str).unwrap_or_default().to_owned(),
        annotations,
        ..App::default()
    };
    let app = asked.platform.store.create_app(app)?;
    asked.oci.read_again(asked.platform);
    Ok(shown(&show(asked, &app), &etag(&app.id, &app.updated_at)))
}

pub(super) fn get(asked: &Asked<'_>, id: &str) -> Result<Response<Body>, Fault> {
    let app = find(asked, &GET_APPLICATION, id)?;
    Ok(shown(&show(asked, &app), &etag(&app.id, &app.updated_at)))
}

pub(super) fn update(asked: &Asked<'_>, id: &str) -> Result<Response<Body>, Fault> {
    let app = find(asked, &UPDATE_APPLICATION, id)?;
    asked.check_etag(&etag(&app.id, &app.updated_at))?;
    let details = details(asked)?;
    let change = App {
        config: attributes::instead(&app.config, attributes::config(&details)?),
        syslog_url: details.get("syslogUrl").and_then(Value::as_str).map(str::to_owned),
        annotations: attributes::keep(&details, &OF_APPS),
        ..App::default()
    };
    let app = asked.platform.store.update_app(&app.id, change)?;
    Ok(shown(&show(asked, &app), &etag(&app.id, &app.updated_at)))
}

pub(super) fn delete(asked: &Asked<'_>, id: &str) -> Result<Response<Body>, Fault> {
    let app = find(asked, &DELETE_APPLICATION, id)?;
    asked.check_etag(&etag(&app.id, &app.updated_at))?;
    if !asked.platform.store.funcs(&app.id, None, &Window::whole())?.items.is_empty() {
        let message = "The application has functions: delete them first";
        return Err(Fault::new(StatusCode::CONFLICT, "IncorrectState", message));
    }
    asked.platform.store.delete_app(&app.id)?;
    asked.oci.read_again(asked.platform);
    Ok(nothing(id, compartment_of(asked.tenancy(), &app)))
}

/// An application that the caller may do something with; one that it may not is not there.
pub(super) fn find(asked: &Asked<'_>, operation: &'static Operation, ocid: &str) -> Result<App, Fault> {
    let missing = Fault::not_authorized_or_not_found;
    let app = asked.platform.store.app(&ocid::id("fnapp", ocid).ok_or_else(missing)?)?;
    let target = Target {
        compartment: compartment_of(asked.tenancy(), &app),
        variables: vec![("target.app.id", ocid.to_owned())],
    };
    asked.may(operation, &target)?;
    Ok(app)
}

fn show(asked: &Asked<'_>, app: &App) -> Value {
    let mut shown = json!({
        "id": ocid::app(&app.id),
        "compartmentId": compartment_of(asked.tenancy(), app),
        "displayName": app.name,
        "lifecycleState": "ACTIVE",
        "config": app.config,
        "syslogUrl": app.syslog_url,
        "timeCreated": app.created_at,
        "timeUpdated": app.updated_at,
    });
    if let Value::Object(shown) = &mut shown {
        attributes::show(&app.annotations, &OF_APPS, shown);
    }
    shown
}
