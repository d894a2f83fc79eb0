use super::*;
use serde_json::json;

fn app(name: &str) -> App {
    App { name: name.into(), ..App::default() }
}

fn func(app: &App, name: &str) -> Func {
    Func { name: name.into(), app_id: app.id.clone(), image: "f:0.0.1".into(), ..Func::default() }
}

fn said<T: std::fmt::Debug>(result: Result<T, Refusal>) -> (u16, String) {
    let refusal = result.unwrap_err();
    (refusal.status(), refusal.message().to_owned())
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("deep/state.redb")).unwrap();
    (folder, store)
}

#[test]
fn what_is_written_is_there_after_a_restart() {
    let (folder, store) = store();
    let a = store.create_app(app("a")).unwrap();
    let f = store.create_func(func(&a, "f")).unwrap();
    assert_eq!((f.timeout, f.idle_timeout, f.memory), (30, 30, 128));
    let again = Store::open(&folder.path().join("deep/state.redb")).unwrap_err();
    assert!(again.to_string().contains("is in use by another cargo fdk start"), "{again}");
    drop(store);
    let store = Store::open(&folder.path().join("deep/state.redb")).unwrap();
    assert_eq!((store.app_named("a").unwrap(), store.func(&f.id).unwrap()), (a, f));
}

#[test]
fn names_are_unique_and_ids_are_ours() {
    let (_folder, store) = store();
    let a = store.create_app(app("a")).unwrap();
    assert_eq!(said(store.create_app(app("a"))), (409, "App already exists".into()));
    assert_eq!(said(store.create_app(app("a b"))), (400, "Invalid app name".into()));
    assert_eq!(said(store.create_app(a.clone())), (400, "App ID cannot be supplied on create".into()));
    store.create_func(func(&a, "f")).unwrap();
    assert_eq!(said(store.create_func(func(&a, "f"))), (409, "Fn with specified name already exists".into()));
    assert_eq!(said(store.create_func(func(&a, "a/b"))), (400, "name must be a valid string".into()));
    let mut slow = func(&a, "slow");
    slow.timeout = 301;
    assert_eq!(
        said(store.create_func(slow)),
        (400, "timeout value is out of range, must be between 0 and 300".into())
    );
}

#[test]
fn a_change_merges_and_an_empty_value_takes_away() {
    let (_folder, store) = store();
    let a = store.create_app(app("a")).unwrap();
    let mut f = func(&a, "f");
    f.config = [("A".into(), "1".into()), ("B".into(), "2".into())].into();
    f.annotations = [("k".into(), json!({"x": 1}))].into();
    let f = store.create_func(f).unwrap();
    let change = json!({"memory": 256, "config": {"A": "", "C": "3"}, "annotations": {"k": ""}});
    let f = store.update_func(&f.id, serde_json::from_value(change).unwrap()).unwrap();
    assert_eq!((f.memory, f.timeout, &f.image), (256, 30, &"f:0.0.1".to_owned()));
    assert_eq!(f.config, [("B".into(), "2".into()), ("C".into(), "3".into())].into());
    assert!(f.annotations.is_empty());
    let renamed = store.update_app(&a.id, app("b"));
    assert_eq!(said(renamed), (409, "Could not update - name is immutable".into()));
}

#[test]
fn a_trigger_leads_from_one_path_to_a_function_of_its_application() {
    let (_folder, store) = store();
    let (a, b) = (store.create_app(app("a")).unwrap(), store.create_app(app("b")).unwrap());
    let f = store.create_func(func(&a, "f")).unwrap();
    let trigger = |app: &App, name: &str, source: &str| Trigger {
        name: name.into(),
        app_id: app.id.clone(),
        fn_id: f.id.clone(),
        kind: "http".into(),
        source: source.into(),
        ..Trigger::default()
    };
    assert_eq!(
        said(store.create_trigger(trigger(&a, "t", "x"))),
        (400, "Missing Trigger Source Prefix '/'".into())
    );
    store.create_trigger(trigger(&a, "t", "/x")).unwrap();
    for (other, refusal) in [
        (trigger(&a, "u", "/x"), (409, "Trigger with the same type and source exists on this app")),
        (trigger(&a, "t", "/y"), (409, "Trigger already exists")),
        (trigger(&b, "t", "/x"), (400, "Invalid Fn ID - not owned by specified app")),
    ] {
        assert_eq!(said(store.create_trigger(other)), (refusal.0, refusal.1.to_owned()));
    }
    assert_eq!(store.trigger_at(&a.id, "/x").unwrap().name, "t");
    store.delete_func(&f.id).unwrap();
    assert_eq!(said(store.trigger_at(&a.id, "/x")), (404, "Trigger not found".into()));
    store.delete_app(&a.id).unwrap();
    assert_eq!(said(store.delete_app(&a.id)), (404, "App not found".into()));
}

#[test]
fn a_list_comes_in_pieces() {
    let (_folder, store) = store();
    for name in ["c", "a", "d", "b"] {
        store.create_app(app(name)).unwrap();
    }
    let names = |page: &Page<App>| page.items.iter().map(|app| app.name.clone()).collect::<String>();
    let first = store.apps(None, &Window::parse("", "3").unwrap());
    assert_eq!((names(&first).as_str(), first.next_cursor.as_deref()), ("abc", Some("Yw")));
    let rest = store.apps(None, &Window::parse("Yw", "3").unwrap());
    assert_eq!((names(&rest).as_str(), rest.next_cursor), ("d", None));
    assert_eq!(names(&store.apps(Some("b"), &Window::parse("", "no number").unwrap())), "b");
    assert_eq!(Window::parse("!", ""), None);
}

#[test]
fn a_null_map_of_a_go_client_is_an_empty_one() {
    let func: Func =
        serde_json::from_value(json!({"name": "f", "config": null, "annotations": null})).unwrap();
    assert!(func.config.is_empty() && func.annotations.is_empty());
}
