//! The page, in a real browser, by clicking through.

use crate::served::Served;
use base64::Engine as _;
use cargo_fdk::platform::Settings;
use serde_json::{Value, json};
use workspace_tests::browser::Browser;

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";

#[test]
fn a_person_sees_what_runs_and_calls_it() {
    let Some(browser) = Browser::start("page") else { return };
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), Settings::default());
    // However long the browser takes, no container ends because nobody calls it.
    let function =
        |name: &str, config: Value| served.function(name, &json!({"idle_timeout": 300, "config": config}));
    let id = function("shop", json!({}));
    function("embedder", json!({"FDK_MODEL": "minilm", "FDK_TASK": "embed"}));
    function("talker", json!({"FDK_TASK": "chat"}));
    function("seer", json!({"FDK_TASK": "classify_image"}));
    function("listener", json!({"FDK_TASK": "transcribe"}));
    browser.resize(1100, 900);
    browser.go(&served.url);
    assert_eq!(browser.run("return document.title"), "cargo fdk");
    browser.wait("document.querySelectorAll('#live .chip.cold').length === 5");
    // A body as it is.
    let pick = |name: &str| {
        browser.run(&format!(
            "const form = document.getElementById('invoke');\
             form.function.value = [...form.function.options].find((o) => o.text.startsWith('{name}')).value;\
             form.function.dispatchEvent(new Event('change')); form.input.value = '';"
        ));
    };
    pick("shop");
    browser.type_into("textarea", "plain <b>text</b>");
    browser.click("#invoke button");
    browser.wait("document.querySelector('#answer pre')?.textContent === 'plain <b>text</b>'");
    // By keyboard alone: from the text to the button, and enter.
    browser.run("document.querySelector('textarea').value = ''");
    browser.type_into("textarea", "by keyboard");
    browser.press(&[TAB, ENTER]);
    browser.wait("document.querySelector('#answer pre')?.textContent === 'by keyboard'");
    // Texts become a request of the task; an answer with vectors, a matrix.
    pick("embedder");
    assert_eq!(browser.run("return document.getElementById('invoke').as.value"), "texts");
    browser.type_into("textarea", "one\ntwo");
    browser.click("#invoke button");
    browser.wait("document.querySelector('#answer pre')?.textContent.includes('\"two\"')");
    pick("shop");
    browser.type_into("textarea", "{\"embeddings\": [[1, 0], [0.6, 0.8]]}");
    browser.click("#invoke button");
    browser.wait("document.querySelector('#answer .matrix')?.rows[0].cells[1].textContent === '0.600'");
    // A chat is shown as what is said.
    pick("talker");
    browser.type_into("textarea", "hello");
    browser.click("#invoke button");
    browser.wait("document.querySelector('#answer pre')?.textContent.includes('hello')");
    // A picture is sent as it is, and what is seen has a bar for each label; a recording so too.
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    pick("seer");
    assert_eq!(browser.run("return document.getElementById('invoke').as.value"), "picture");
    browser.click("#invoke button");
    browser.wait("document.querySelector('#answer .bad')?.textContent === 'Choose a file first.'");
    let seen = "{\"predictions\": [{\"label\": \"tabby cat\", \"score\": 0.75}]}";
    browser.type_into("#invoke [name=file]", &file("cat.jpg", seen));
    browser.click("#invoke button");
    browser.wait("document.querySelector('#answer .scores')?.innerText.includes('tabby cat')");
    pick("listener");
    let heard = "{\"text\": \"good morning\", \"segments\": [{\"start\": 0.5, \"end\": 1, \"text\": \"good morning\"}]}";
    browser.type_into("#invoke [name=file]", &file("hello.wav", heard));
    browser.click("#invoke button");
    browser.wait("document.querySelector('#answer li')?.textContent === '0.50–1.00 s good morning'");
    // A failure is one, and its call has a page of its own, with the log.
    pick("shop");
    browser.type_into("textarea", "status 500");
    browser.click("#invoke button");
    browser.wait("document.querySelector('#answer .bad')?.textContent.includes('502')");
    browser.run("document.activeElement.blur()");
    browser.wait("document.querySelector('#live td.bad')?.textContent === '502'");
    browser.wait("document.querySelectorAll('#live .bar i').length > 4");
    browser.wait("document.querySelectorAll('#live svg circle').length > 4");
    browser
        .wait("document.querySelector('#live .chip.dead') && document.querySelector('#live .chip.frozen')");
    // What docs/src/page.png shows is this.
    browser.run("scrollTo(0, 0)");
    let shot = browser.devtools("Page.captureScreenshot", &json!({"format": "png"}));
    let png = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
    std::fs::write(workspace_tests::root().join("target/page.png"), png).unwrap();
    // As wide as a phone, nothing sticks out; and in the dark it is dark.
    browser.resize(390, 800);
    browser.wait("document.documentElement.scrollWidth <= 390");
    let ground = || browser.run("return getComputedStyle(document.body).backgroundColor");
    let scheme = |scheme: &str| {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.devtools("Emulation.setEmulatedMedia", &features);
    };
    scheme("light");
    assert_eq!(ground(), "rgb(255, 255, 255)");
    scheme("dark");
    assert_eq!(ground(), "rgb(20, 23, 26)");
    // In one step: what is live is replaced each second, but for what has the focus.
    browser.run("document.querySelector('#live td a').focus()");
    browser.press(&[ENTER]);
    browser.wait("document.querySelector('#log')");
    let shown = browser.run("return document.body.innerText");
    assert!(shown.as_str().unwrap().contains("shop answered 502"), "{shown}");
    assert_eq!(served.platform.pool.ended(&id), 1);
}

#[test]
fn a_page_from_elsewhere_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), Settings::default());
    let from =
        |origin: &str| served.send("POST", "/v2/apps", &[("origin", origin)], "{\"name\":\"x\"}").status;
    assert_eq!(from("https://elsewhere.example"), 403);
    assert_eq!(from(&served.url), 200);
    // Without a browser's wish for HTML it is the server's own greeting.
    assert_eq!(served.get("/").json()["hello"], "world!");
}
