//! What the platform knows of applications, functions and triggers, and keeps across restarts.
//!
//! All of it is in memory, and each change is in the file before it is: the file is a redb database, whose commits are
//! atomic and synced.

mod file;
pub mod model;
mod page;
mod refusal;
mod validate;

pub use page::{Page, Window};
pub use refusal::Refusal;

use crate::Result;
use file::{Change, File};
use model::{App, Func, Trigger};
use refusal::{bad, conflict, missing};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

/// The store. Its methods may be called from any thread.
#[derive(Debug)]
pub struct Store {
    /// Locked for the whole of a change: one at a time.
    file: Mutex<File>,
    known: RwLock<Known>,
}

/// Everything, by id.
#[derive(Debug, Default)]
struct Known {
    apps: BTreeMap<String, App>,
    fns: BTreeMap<String, Func>,
    triggers: BTreeMap<String, Trigger>,
}

impl Store {
    /// Opens the file, or makes it. One process has it at a time.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let known = Known {
            apps: file.read(file::APPS)?.into_iter().map(|app: App| (app.id.clone(), app)).collect(),
            fns: file.read(file::FNS)?.into_iter().map(|func: Func| (func.id.clone(), func)).collect(),
            triggers: file.read(file::TRIGGERS)?.into_iter().map(|t: Trigger| (t.id.clone(), t)).collect(),
        };
        Ok(Self { file: Mutex::new(file), known: RwLock::new(known) })
    }

    fn look<T>(&self, at: impl FnOnce(&Known) -> T) -> T {
        at(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Decides on a change with what is known, writes it, and only then knows it.
    fn change<T>(
        &self,
        decide: impl FnOnce(&Known) -> Result<(Vec<Change>, T), Refusal>,
    ) -> Result<T, Refusal> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (changes, value) = self.look(decide)?;
        if !changes.is_empty() {
            file.write(&changes).map_err(Refusal::internal)?;
            let known = &mut *self.known.write().unwrap_or_else(PoisonError::into_inner);
            for change in changes {
                known.apply(change);
            }
        }
        Ok(value)
    }

    /// An application by its id.
    pub fn app(&self, id: &str) -> Result<App, Refusal> {
        self.look(|known| known.apps.get(id).cloned()).ok_or_else(|| missing("App"))
    }

    /// An application by its name.
    pub fn app_named(&self, name: &str) -> Result<App, Refusal> {
        self.look(|known| known.apps.values().find(|app| app.name == name).cloned())
            .ok_or_else(|| missing("App"))
    }

    /// The applications, of this name if one is given, in the order of their names.
    pub fn apps(&self, name: Option<&str>, window: &Window) -> Page<App> {
        self.look(|known| {
            let found = known.apps.values().filter(|app| name.is_none_or(|name| app.name == name));
            window.of(found, |app| &app.name)
        })
    }

    /// Adds an application.
    pub fn create_app(&self, mut app: App) -> Result<App, Refusal> {
        if !app.id.is_empty() {
            return Err(bad("App ID cannot be supplied on create"));
        }
        validate::app(&app)?;
        app.id = crate::id::next();
        app.created_at = now();
        app.updated_at.clone_from(&app.created_at);
        self.change(|known| {
            if known.apps.values().any(|other| other.name == app.name) {
                return Err(conflict("App already exists"));
            }
            Ok((vec![Change::App(app.clone())], app))
        })
    }

    /// Merges a change into an application.
    pub fn update_app(&self, id: &str, change: App) -> Result<App, Refusal> {
        if !change.id.is_empty() && change.id != id {
            return Err(bad("App ID in path does not match ID in body"));
        }
        self.change(|known| {
            let old = known.apps.get(id).ok_or_else(|| missing("App"))?;
            if !change.name.is_empty() && change.name != old.name {
                return Err(conflict("Could not update - name is immutable"));
            }
            let mut app = old.clone();
            app.merge(change);
            validate::app(&app)?;
            Ok(if app == *old {
                (vec![], app)
            } else {
                app.updated_at = now();
                (vec![Change::App(app.clone())], app)
            })
        })
    }

    /// Removes an application, with its functions and triggers.
    pub fn delete_app(&self, id: &str) -> Result<(), Refusal> {
        self.change(|known| {
            if !known.apps.contains_key(id) {
                return Err(missing("App"));
            }
            let fns = known.fns.values().filter(|func| func.app_id == id);
            let triggers = known.triggers.values().filter(|trigger| trigger.app_id == id);
            let mut changes = vec![Change::NoApp(id.to_owned())];
            changes.extend(fns.map(|func| Change::NoFunc(func.id.clone())));
            changes.extend(triggers.map(|trigger| Change::NoTrigger(trigger.id.clone())));
            Ok((changes, ()))
        })
    }

    /// A function by its id.
    pub fn func(&self, id: &str) -> Result<Func, Refusal> {
        self.look(|known| known.fns.get(id).cloned()).ok_or_else(|| missing("Fn"))
    }

    /// A function by its name in an application.
    pub fn func_named(&self, app_id: &str, name: &str) -> Result<Func, Refusal> {
        self.look(|known| known.fns.values().find(|f| f.app_id == app_id && f.name == name).cloned())
            .ok_or_else(|| missing("Fn"))
    }

    /// The functions of an application, of this name if one is given, in the order of their names.
    pub fn funcs(&self, app_id: &str, name: Option<&str>, window: &Window) -> Result<Page<Func>, Refusal> {
        if app_id.is_empty() {
            return Err(bad("Missing AppID on Fn"));
        }
        Ok(self.look(|known| {
            let found = known.fns.values().filter(|func| func.app_id == app_id);
            window.of(found.filter(|func| name.is_none_or(|name| func.name == name)), |func| &func.name)
        }))
    }

    /// Every function there is.
    pub fn all_funcs(&self) -> Vec<Func> {
        self.look(|known| known.fns.values().cloned().collect())
    }

    /// Adds a function.
    pub fn create_func(&self, mut func: Func) -> Result<Func, Refusal> {
        if !func.id.is_empty() {
            return Err(bad("ID cannot be provided for Fn creation"));
        }
        if func.app_id.is_empty() {
            return Err(bad("Missing AppID on Fn"));
        }
        func.set_defaults();
        validate::func(&func)?;
        func.id = crate::id::next();
        func.created_at = now();
        func.updated_at.clone_from(&func.created_at);
        self.change(|known| {
            let app = known.apps.get(&func.app_id).ok_or_else(|| missing("App"))?;
            func.shape.clone_from(&app.shape);
            if known.fns.values().any(|other| other.app_id == func.app_id && other.name == func.name) {
                return Err(conflict("Fn with specified name already exists"));
            }
            Ok((vec![Change::Func(func.clone())], func))
        })
    }

    /// Merges a change into a function. Its name and application stay what they are.
    pub fn update_func(&self, id: &str, change: Func) -> Result<Func, Refusal> {
        if !change.id.is_empty() && change.id != id {
            return Err(bad("Fn ID in path does not match that in body"));
        }
        self.change(|known| {
            let old = known.fns.get(id).ok_or_else(|| missing("Fn"))?;
            let mut func = old.clone();
            func.merge(change);
            validate::func(&func)?;
            Ok(if func == *old {
                (vec![], func)
            } else {
                func.updated_at = now();
                (vec![Change::Func(func.clone())], func)
            })
        })
    }

    /// Removes a function, with its triggers.
    pub fn delete_func(&self, id: &str) -> Result<(), Refusal> {
        self.change(|known| {
            if !known.fns.contains_key(id) {
                return Err(missing("Fn"));
            }
            let triggers = known.triggers.values().filter(|trigger| trigger.fn_id == id);
            let mut changes = vec![Change::NoFunc(id.to_owned())];
            changes.extend(triggers.map(|trigger| Change::NoTrigger(trigger.id.clone())));
            Ok((changes, ()))
        })
    }

    /// A trigger by its id.
    pub fn trigger(&self, id: &str) -> Result<Trigger, Refusal> {
        self.look(|known| known.triggers.get(id).cloned()).ok_or_else(|| missing("Trigger"))
    }

    /// The trigger that a path of an application leads to; the path must be exactly its source.
    pub fn trigger_at(&self, app_id: &str, source: &str) -> Result<Trigger, Refusal> {
        self.look(|known| known.triggers.values().find(|t| t.app_id == app_id && t.source == source).cloned())
            .ok_or_else(|| missing("Trigger"))
    }

    /// The triggers of an application, or of one function of it, in the order of their names.
    pub fn triggers(
        &self,
        app_id: &str,
        fn_id: Option<&str>,
        name: Option<&str>,
        window: &Window,
    ) -> Result<Page<Trigger>, Refusal> {
        if app_id.is_empty() {
            return Err(bad("Missing App ID on Trigger"));
        }
        Ok(self.look(|known| {
            let found = known.triggers.values().filter(|trigger| trigger.app_id == app_id);
            let found = found.filter(|trigger| fn_id.is_none_or(|id| trigger.fn_id == id));
            window.of(found.filter(|trigger| name.is_none_or(|name| trigger.name == name)), |t| &t.name)
        }))
    }

    /// Adds a trigger.
    pub fn create_trigger(&self, mut trigger: Trigger) -> Result<Trigger, Refusal> {
        if !trigger.id.is_empty() {
            return Err(bad("ID cannot be provided for Trigger creation"));
        }
        if is_time(&trigger.created_at) {
            return Err(bad("Trigger Created At Provided for Create"));
        }
        if is_time(&trigger.updated_at) {
            return Err(bad("Trigger ID Provided for Create"));
        }
        validate::trigger(&trigger)?;
        trigger.id = crate::id::next();
        trigger.created_at = now();
        trigger.updated_at.clone_from(&trigger.created_at);
        self.change(|known| {
            known.place(&trigger)?;
            Ok((vec![Change::Trigger(trigger.clone())], trigger))
        })
    }

    /// Merges a change into a trigger.
    pub fn update_trigger(&self, id: &str, change: Trigger) -> Result<Trigger, Refusal> {
        if !change.id.is_empty() && change.id != id {
            return Err(bad("ID in path does not match ID in body"));
        }
        self.change(|known| {
            let old = known.triggers.get(id).ok_or_else(|| missing("Trigger"))?;
            let mut trigger = old.clone();
            trigger.merge(change);
            validate::trigger(&trigger)?;
            known.place(&trigger)?;
            Ok(if trigger == *old {
                (vec![], trigger)
            } else {
                trigger.updated_at = now();
                (vec![Change::Trigger(trigger.clone())], trigger)
            })
        })
    }

    /// Removes a trigger.
    pub fn delete_trigger(&self, id: &str) -> Result<(), Refusal> {
        self.change(|known| {
            if !known.triggers.contains_key(id) {
                return Err(missing("Trigger"));
            }
            Ok((vec![Change::NoTrigger(id.to_owned())], ()))
        })
    }
}

impl Known {
    /// Whether a trigger leads from a path of its own to a function of its application.
    fn place(&self, trigger: &Trigger) -> Result<(), Refusal> {
        if !self.apps.contains_key(&trigger.app_id) {
            return Err(missing("App"));
        }
        let func = self.fns.get(&trigger.fn_id).ok_or_else(|| missing("Fn"))?;
        if func.app_id != trigger.app_id {
            return Err(bad("Invalid Fn ID - not owned by specified app"));
        }
        for other in self.triggers.values() {
            if other.id == trigger.id || other.app_id != trigger.app_id {
                continue;
            }
            if other.kind == trigger.kind && other.source == trigger.source {
                return Err(conflict("Trigger with the same type and source exists on this app"));
            }
            if other.fn_id == trigger.fn_id && other.name == trigger.name {
                return Err(conflict("Trigger already exists"));
            }
        }
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::App(app) => drop(self.apps.insert(app.id.clone(), app)),
            Change::Func(func) => drop(self.fns.insert(func.id.clone(), func)),
            Change::Trigger(trigger) => drop(self.triggers.insert(trigger.id.clone(), trigger)),
            Change::NoApp(id) => drop(self.apps.remove(&id)),
            Change::NoFunc(id) => drop(self.fns.remove(&id)),
            Change::NoTrigger(id) => drop(self.triggers.remove(&id)),
        }
    }
}

/// RFC 3339 with milliseconds, as the server writes it.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Whether a time is one: the client sends Go's zero, the first second of the year 1, for none.
fn is_time(text: &str) -> bool {
    !text.is_empty() && !text.starts_with("0001-01-01T00:00:00")
}

#[cfg(test)]
mod tests;
