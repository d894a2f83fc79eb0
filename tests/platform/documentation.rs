//! The documentation: each shell block runs in a fresh copy of the repository, and each link leads somewhere.

use cargo_fdk::compile::cargo;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use workspace_tests::command_line::program;
use workspace_tests::{not_run, root};

/// A block that takes longer hangs. Where nothing is built, the first ones compile the command line and candle.
const LIMIT: Duration = Duration::from_mins(30);
/// What stands above a block that is not run, before the reason.
const NOT_RUN: &str = "<!-- not-run: ";
/// The languages of blocks.
const LANGUAGES: [&str; 7] = ["sh", "text", "rust", "json", "yaml", "toml", "python"];

/// A page, by its path in the repository.
struct Page {
    path: String,
    text: String,
}

/// A block of code.
struct Block<'a> {
    line: usize,
    language: &'a str,
    not_run: Option<&'a str>,
    text: String,
}

impl Page {
    /// All that a reader is to read.
    fn all() -> Vec<Self> {
        let mut paths = vec!["README.md".to_owned()];
        let mut add = |folder: &str, name: &str| {
            let mut found: Vec<String> = fs::read_dir(root().join(folder))
                .unwrap()
                .map(|entry| format!("{folder}/{}{name}", entry.unwrap().file_name().display()))
                .filter(|path| Path::new(path).extension().is_some_and(|end| end == "md"))
                .filter(|path| root().join(path).is_file())
                .collect();
            found.sort();
            paths.append(&mut found);
        };
        add("docs/src", "");
        add("examples", "/README.md");
        add("deploy", "");
        let read = |path: String| Self { text: fs::read_to_string(root().join(&path)).unwrap(), path };
        paths.into_iter().map(read).collect()
    }

    /// The blocks of code, and the lines that stand in none.
    fn split(&self) -> (Vec<Block<'_>>, Vec<(usize, &str)>) {
        let (mut blocks, mut prose): (Vec<Block<'_>>, Vec<(usize, &str)>) = (Vec::new(), Vec::new());
        let mut open = false;
        for (number, line) in self.text.lines().enumerate() {
            if let Some(info) = line.trim_start().strip_prefix("```") {
                let language = info.split(',').next().unwrap();
                open = !open;
                if open {
                    let above = prose.last().map_or("", |&(_, line)| line);
                    let not_run =
                        above.strip_prefix(NOT_RUN).map(|reason| reason.strip_suffix(" -->").unwrap());
                    blocks.push(Block { line: number + 1, language, not_run, text: String::new() });
                }
            } else if open {
                let text = &mut blocks.last_mut().unwrap().text;
                text.push_str(line);
                text.push('\n');
            } else {
                prose.push((number + 1, line));
            }
        }
        assert!(!open, "{}: its last block has no end", self.path);
        (blocks, prose)
    }

    /// What links to a heading say after `#`.
    fn anchors(&self) -> Vec<String> {
        let (_, prose) = self.split();
        let headings = prose.iter().filter_map(|(_, line)| line.strip_prefix('#'));
        let plain = |heading: &str| -> String {
            let kept = heading.trim_start_matches('#').trim().to_lowercase();
            kept.replace(' ', "-").chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
        };
        headings.map(plain).collect()
    }
}

/// The tracked files in a folder of their own, and models. Times are kept, so that cargo takes what this tree has built for built.
fn fresh_copy(folder: &Path) -> PathBuf {
    let copy = folder.join("fdk");
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    for name in listed.split('\0').filter(|name| root().join(name).is_file()) {
        let (from, to) = (root().join(name), copy.join(name));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&from, &to).unwrap();
        File::open(&to).unwrap().set_modified(from.metadata().unwrap().modified().unwrap()).unwrap();
    }
    for model in ["minilm", "smollm2", "whisper-tiny-en"] {
        let from = fdk_models::obtain(model).unwrap().join(model);
        let copied = Command::new("cp").arg("-a").arg(from).arg(copy.join("model-assets")).status();
        assert!(copied.unwrap().success());
    }
    copy
}

/// `cargo fdk` of this test's profile, where a person's is of the release profile.
fn command_line(folder: &Path, copy: &Path) -> String {
    let config = copy.join(".cargo/config.toml");
    let kept = fs::read_to_string(&config).unwrap();
    fs::write(config, kept.lines().filter(|line| !line.starts_with("fdk = ")).collect::<Vec<_>>().join("\n"))
        .unwrap();
    let programs = folder.join("bin");
    fs::create_dir(&programs).unwrap();
    symlink(program(), programs.join("cargo-fdk")).unwrap();
    format!("{}:{}", programs.display(), std::env::var("PATH").unwrap())
}

#[test]
fn each_shell_block_runs_in_a_fresh_copy() {
    let test = "each_shell_block_runs_in_a_fresh_copy";
    if !not_run::have(test, "git", &["rev-parse", "HEAD"], "apt-get install git, in a clone") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = fresh_copy(folder.path());
    let path = command_line(folder.path(), &copy);
    let mut failed = Vec::new();
    for page in Page::all() {
        for block in page.split().0.into_iter().filter(|block| block.language == "sh") {
            let place = format!("{}:{}", page.path, block.line);
            if let Some(reason) = block.not_run {
                // Past the capture of the test harness, which shows a passing test's output to nobody.
                let _ = writeln!(std::io::stderr(), "{place} not run: {reason}");
                continue;
            }
            let printed = folder.path().join("printed");
            let output = File::create(&printed).unwrap();
            let mut shell = Command::new("bash");
            // As from a plain shell: what an outer cargo says of its own package is taken away.
            for (key, _) in cargo().get_envs().filter(|(_, value)| value.is_none()) {
                shell.env_remove(key);
            }
            shell
                .args(["-e", "-c", &block.text])
                .current_dir(&copy)
                .env("PATH", &path)
                .env("CARGO_TARGET_DIR", root().join("target"))
                .env("FDK_STATE_DIR", folder.path().join("state"))
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(output.try_clone().unwrap())
                .stderr(output);
            let began = Instant::now();
            let mut running = shell.spawn().unwrap();
            let ended = loop {
                match running.try_wait().unwrap() {
                    Some(status) => break status.to_string(),
                    None if began.elapsed() > LIMIT => {
                        kill_process_group(Pid::from_child(&running), Signal::KILL).unwrap();
                        running.wait().unwrap();
                        break format!("no end after {LIMIT:?}");
                    }
                    None => std::thread::sleep(Duration::from_millis(20)),
                }
            };
            let seconds = began.elapsed().as_secs_f64();
            let _ = writeln!(std::io::stderr(), "{place} ran: {seconds:.1} s");
            if ended != "exit status: 0" {
                let printed = String::from_utf8_lossy(&fs::read(&printed).unwrap()).into_owned();
                failed.push(format!("{place}: {ended}\n{}\n{printed}", block.text));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn each_block_says_its_language_and_rust_is_compiled() {
    let compiled = fs::read_to_string(root().join("tests/harness/documentation.rs")).unwrap();
    for page in Page::all() {
        for block in page.split().0 {
            let place = format!("{}:{}", page.path, block.line);
            assert!(LANGUAGES.contains(&block.language), "{place}: {:?}", block.language);
            assert!(
                block.language != "rust" || compiled.contains(&format!("(\"../../{}\")", page.path)),
                "{place} is not compiled: tests/harness/documentation.rs does not include the page"
            );
        }
    }
}

#[test]
fn each_link_leads_somewhere() {
    let pages = Page::all();
    for page in &pages {
        let folder = root().join(&page.path).parent().unwrap().to_path_buf();
        for (line, text) in page.split().1 {
            for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.starts_with("https://") {
                    continue;
                }
                let place = format!("{}:{line}: {link}", page.path);
                let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if path.is_empty() { root().join(&page.path) } else { folder.join(path) };
                let target = target.canonicalize().unwrap_or_else(|error| panic!("{place}: {error}"));
                // mdBook copies its own folder alone.
                if page.path.starts_with("docs/src/") {
                    assert!(target.starts_with(root().join("docs/src")), "{place} leaves the book");
                }
                if anchor.is_empty() {
                    continue;
                }
                let linked = pages.iter().find(|page| root().join(&page.path) == target);
                let anchors = linked.unwrap_or_else(|| panic!("{place} is no page")).anchors();
                assert!(anchors.iter().any(|known| known == anchor), "{place}: it has {anchors:?}");
            }
        }
    }
}

#[test]
fn each_page_is_in_the_books_summary() {
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    for page in Page::all() {
        if let Some(name) = page.path.strip_prefix("docs/src/").filter(|name| *name != "SUMMARY.md") {
            assert!(summary.contains(&format!("]({name})")), "{name} is not in docs/src/SUMMARY.md");
        }
    }
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 150, "README.md is the short one: details belong to docs/src");
}
