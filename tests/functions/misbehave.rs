//! A function that breaks the contract on demand, written on the bare socket: what an FDK would prevent.
//!
//! The body says what to do; `MISBEHAVE` in its configuration what to do at the start.

mod attack;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn main() {
    match std::env::var("MISBEHAVE").as_deref() {
        Ok("never-bind") => std::thread::sleep(Duration::from_secs(1000)),
        Ok("bind-late") => std::thread::sleep(Duration::from_millis(2500)),
        Ok("exit") => {
            eprintln!("no model, no function");
            std::process::exit(3);
        }
        Ok("abort") => std::process::abort(),
        _ => {}
    }
    let listener = std::env::var("FN_LISTENER").unwrap();
    let path = Path::new(listener.strip_prefix("unix:").unwrap());
    let hidden = path.with_file_name("s");
    let socket = UnixListener::bind(&hidden).unwrap();
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o666)).unwrap();
    symlink("s", path).unwrap();
    for stream in socket.incoming() {
        let stream = stream.unwrap();
        std::thread::spawn(move || while answer(&stream).is_some() {});
    }
}

/// Reads one request and does what its body says.
fn answer(mut stream: &UnixStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
    }
    let mut body = Vec::new();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let size = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    let body = String::from_utf8(body).unwrap();
    let (what, argument) = body.split_once(' ').unwrap_or((&body, ""));
    let number = argument.parse::<usize>().unwrap_or_default();
    let mut reply = String::new();
    let mut status = 200;
    let mut extra = String::new();
    match what {
        "status" => status = number,
        "sleep" => std::thread::sleep(Duration::from_millis(number as u64)),
        "exit" => std::process::exit(7),
        "eat" => reply = eaten(number).to_string(),
        "large" => reply = "x".repeat(number),
        "hop" => extra.push_str("Keep-Alive: timeout=5\r\nX-Own: 1\r\nFn-Http-H-Of-A-Gateway: 1\r\n"),
        "headers" => {
            for n in 0..number {
                write!(extra, "X-Own-{n}: 1\r\n").unwrap();
            }
            reply = head;
        }
        "print" => {
            let line = vec![b'p'; 1 << 20];
            for _ in 0..number {
                std::io::stdout().write_all(&line).unwrap();
            }
        }
        "fork" => {
            // In a session of its own, out of the reach of signals to the group.
            let child = Command::new("setsid").args(["sleep", "1000"]).spawn();
            reply = child.map_or_else(|error| error.to_string(), |child| process(child.id()));
        }
        "breed" => reply = bred(number),
        "look" => reply = look(),
        "pid" => reply = process(std::process::id()),
        "attack" => reply = attack::on(&serde_json::from_str(argument).unwrap()).to_string(),
        "read" => reply = std::fs::read_to_string(argument).unwrap_or_else(|error| error.to_string()),
        "write" => reply = format!("{:?}", std::fs::write(argument, "x").map_err(|error| error.kind())),
        "head" => reply = head,
        "broken" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort").ok()?;
            return None;
        }
        "drip" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").ok()?;
            std::thread::sleep(Duration::from_secs(1000));
        }
        "garbage" => {
            stream.write_all(b"no HTTP at all\r\n\r\n").ok()?;
            return None;
        }
        _ => reply = body,
    }
    let head = format!("HTTP/1.1 {status} S\r\n{extra}Content-Length: {}\r\n\r\n", reply.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(reply.as_bytes())).ok()
}

/// A process that is known by its namespace and its id there, so that who is outside can find it.
fn process(id: u32) -> String {
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    format!("{} {id}", namespace.display())
}

/// Touches so many megabytes.
fn eaten(megabytes: usize) -> usize {
    let eaten = vec![1u8; megabytes << 20];
    eaten.iter().map(|byte| usize::from(*byte)).sum()
}

/// How many children could be had at once, of so many.
fn bred(wanted: usize) -> String {
    let children = (0..wanted).map_while(|_| Command::new("sleep").arg("1000").spawn().ok());
    let mut children: Vec<_> = children.collect();
    for child in &mut children {
        let _ = child.kill();
        let _ = child.wait();
    }
    children.len().to_string()
}

/// What the world looks like from here, a fact a line.
fn look() -> String {
    let mut seen = String::new();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    for line in status.lines().chain(limits.lines()) {
        let interesting =
            ["Uid:", "CapEff:", "CapBnd:", "NoNewPrivs:", "Max open files", "Max locked memory"];
        if interesting.iter().any(|name| line.starts_with(name)) {
            let words: Vec<_> = line.split_whitespace().collect();
            writeln!(seen, "{}", words.join(" ")).unwrap();
        }
    }
    for (name, path) in [("root", "/written"), ("etc", "/etc/written"), ("tmp", "/tmp/written")] {
        let written = std::fs::write(path, "x").map_err(|error| error.kind());
        writeln!(seen, "{name} {written:?}").unwrap();
    }
    let fill = (0..).map(|n| std::fs::write(format!("/tmp/fill{n}"), vec![0u8; 1 << 20]));
    writeln!(seen, "tmp holds {} MB", fill.take(1000).take_while(Result::is_ok).count()).unwrap();
    writeln!(seen, "home {}", Path::new("/root").exists()).unwrap();
    let interfaces = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    writeln!(seen, "interfaces {}", interfaces.lines().skip(2).count()).unwrap();
    let visible = std::env::var("VISIBLE").ok().map(|path| std::fs::read_to_string(path).ok());
    writeln!(seen, "visible {visible:?}").unwrap();
    seen
}
