//! The store's file: three redb tables of JSON by id.

use super::model::{App, Func, Trigger};
use crate::{Error, Result};
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

pub(super) const APPS: Table = TableDefinition::new("apps");
pub(super) const FNS: Table = TableDefinition::new("fns");
pub(super) const TRIGGERS: Table = TableDefinition::new("triggers");

/// One thing that becomes different.
#[derive(Debug)]
pub(super) enum Change {
    App(App),
    Func(Func),
    Trigger(Trigger),
    NoApp(String),
    NoFunc(String),
    NoTrigger(String),
}

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// None after a failed write: redb then wants to be opened anew, and so heals what it can.
    database: Option<Database>,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::failed(format!(
                    "{}: {error}; another place for the state is given by --state",
                    folder.display()
                ))
            })?;
        }
        let database = Database::create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => Error::failed(format!(
                "{} is in use by another cargo fdk start: stop it, or choose another --port or --state",
                path.display()
            )),
            error => unusable(path, &error),
        })?;
        Ok(Self { path: path.into(), database: Some(database) })
    }

    /// Everything in a table.
    pub(super) fn read<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<T>> {
        self.read_table(table).map_err(|error| unusable(&self.path, &error))
    }

    fn read_table<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<T>, redb::Error> {
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        let transaction = database.begin_read()?;
        let table = match transaction.open_table(table) {
            Ok(table) => table,
            // Nothing was ever written.
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut items = Vec::new();
        for entry in table.iter()? {
            let (id, json) = entry?;
            items.push(
                serde_json::from_slice(json.value())
                    .map_err(|error| redb::Error::Corrupted(format!("{}: {error}", id.value())))?,
            );
        }
        Ok(items)
    }

    /// Writes all changes or none, synced.
    pub(super) fn write(&mut self, changes: &[Change]) -> Result<(), redb::Error> {
        let database = match self.database.take() {
            Some(database) => database,
            None => Database::create(&self.path)?,
        };
        // Without the database when this fails.
        write(&database, changes)?;
        self.database = Some(database);
        Ok(())
    }
}

fn write(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for change in changes {
        let (table, id, item) = match change {
            Change::App(app) => (APPS, &app.id, Some(json(app)?)),
            Change::Func(func) => (FNS, &func.id, Some(json(func)?)),
            Change::Trigger(trigger) => (TRIGGERS, &trigger.id, Some(json(trigger)?)),
            Change::NoApp(id) => (APPS, id, None),
            Change::NoFunc(id) => (FNS, id, None),
            Change::NoTrigger(id) => (TRIGGERS, id, None),
        };
        let mut table = transaction.open_table(table)?;
        match item {
            Some(json) => drop(table.insert(id.as_str(), json.as_slice())?),
            None => drop(table.remove(id.as_str())?),
        }
    }
    transaction.commit()?;
    Ok(())
}

fn json(item: &impl Serialize) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(item).map_err(|error| redb::Error::Io(error.into()))
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::failed(format!("the state in {} cannot be used: {error}", path.display()))
}
