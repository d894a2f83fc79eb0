//! Functions that misbehave, and many callers: the platform stays up, answers each with the right code, and leaks nothing.

use crate::served::{Answer, Served, parent, runs, state, until};
use cargo_fdk::platform::Settings;
use cargo_fdk::pool::{Condition, Limits, Seen};
use cargo_fdk::sandbox::Sandbox;
use serde_json::{Value, json};

fn settings() -> Settings {
    Settings { sandbox: Some(Sandbox::strongest(false)), ..Settings::default() }
}

#[test]
fn each_fault_has_its_code_and_the_next_call_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), settings());
    let slow = served.function("slow", &json!({"timeout": 2}));
    let other = served.function("f", &Value::Null);
    let lost = (502, "error receiving function response");
    // What the agent does on each, and whether the container lives: `hotSlot.writeResp` of the real one.
    for (body, (status, message), lives) in [
        ("status 502", (502, "function failed"), true),
        ("status 504", (504, "Timed out"), true),
        ("status 500", (502, "invalid function response"), false),
        ("status 404", (502, "invalid function response"), false),
        ("exit", lost, false),
        ("garbage", lost, false),
        ("broken", (500, "internal server error"), true),
        ("large 6291457", (502, "function response body too large"), true),
        ("sleep 60000", (504, "Timed out"), false),
    ] {
        // One alone is to run out of time.
        let id = if body.starts_with("sleep") { &slow } else { &other };
        let before = served.process(id, "pid");
        let answer = served.invoke(id, body);
        assert_eq!(answer.error(), (status, message.to_owned()), "{body}");
        let after = served.process(id, "pid");
        assert_eq!(after == before, lives, "{body}: {before} {after}");
        if !lives {
            until("the killed one is gone", || !runs(&before));
        }
    }
    assert_eq!(served.invoke(&other, "large 6291456").text.len(), 6_291_456);
    let large = "x".repeat(6_291_457);
    assert_eq!(
        served.invoke(&other, &large).error(),
        (413, "Content-Length too large for this server, 6291457 > max 6291456".into())
    );
}

#[test]
fn what_does_not_start_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), settings());
    let quick = served.function("quick", &json!({"config": {"MISBEHAVE": "exit"}}));
    let (status, message) = served.invoke(&quick, "").error();
    assert!(status == 502 && message.starts_with("Container failed to initialize"), "{status} {message}");
    let call = served.platform.calls.all().pop().unwrap();
    assert!(call.fault.contains("exit status: 3"), "{}", call.fault);
    let abort = served.function("abort", &json!({"config": {"MISBEHAVE": "abort"}}));
    assert_eq!(served.invoke(&abort, "").status, 502);
    let call = served.platform.calls.all().pop().unwrap();
    assert!(call.fault.contains("signal: "), "{}", call.fault);
    // A call's own time does not run during a start, neither one that fails nor one that takes long.
    let late = served.function("late", &json!({"timeout": 2, "config": {"MISBEHAVE": "bind-late"}}));
    assert_eq!(served.invoke(&late, "late").text, "late");
    let never = served.function("never", &json!({"timeout": 3, "config": {"MISBEHAVE": "never-bind"}}));
    let (status, message) = served.invoke(&never, "").error();
    assert!(status == 504 && message.starts_with("Container initialization timed out"), "{status} {message}");
}

#[test]
fn a_flood_a_fork_and_a_glutton_cost_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), settings());
    let id = served.function("f", &json!({"memory": 64}));
    assert_eq!(served.invoke(&id, "print 1024").status, 200);
    let call = served.platform.calls.all().pop().unwrap();
    until("the flood is cut", || {
        call.logs.lines().last().is_some_and(|line| line.contains("max log size 1048576 bytes exceeded"))
    });
    assert_eq!(served.invoke(&id, "eat 20").text, (20 << 20).to_string());
    // More than it was granted: it aborts, as there it would be killed.
    assert_eq!(served.invoke(&id, "eat 400").error(), (502, "error receiving function response".into()));
    let child = served.process(&id, "fork");
    let own = served.process(&id, "pid");
    served.stop();
    until("function and child are gone", || !runs(&child) && !runs(&own));
}

#[test]
fn what_a_function_started_does_not_outlive_a_platform_that_ends_under_a_call() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), settings());
    let id = served.function("f", &json!({"timeout": 300}));
    let child = served.process(&id, "fork");
    let own = served.process(&id, "pid");
    assert!(runs(&child) && runs(&own), "{child} {own}");
    let mut stream = std::net::TcpStream::connect(served.url.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "POST /invoke/{id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\nsleep 200000")
        .unwrap();
    until("the call is on its way", || {
        served.platform.pool.seen().iter().any(|container| container.condition == Condition::Busy)
    });
    served.stop();
    until("function and child are gone", || !runs(&child) && !runs(&own));
}

#[test]
fn a_caller_who_leaves_is_told_of_with_a_container_and_without() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), settings());
    let slow = served.function("slow", &json!({"timeout": 300}));
    let never = served.function("never", &json!({"config": {"MISBEHAVE": "never-bind"}}));
    for (id, reached) in [(&slow, Condition::Busy), (&never, Condition::Starting)] {
        let mut stream = std::net::TcpStream::connect(served.url.strip_prefix("http://").unwrap()).unwrap();
        write!(
            stream,
            "POST /invoke/{id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\nsleep 200000"
        )
        .unwrap();
        until("the call is on its way", || {
            let seen = served.platform.pool.seen();
            seen.iter().any(|container| container.function == *id && container.condition == reached)
        });
        assert!(served.platform.calls.all().iter().all(|call| call.function != *id), "told too early");
        drop(stream);
        let mut told = Vec::new();
        until("its line is there", || {
            told = served.platform.calls.all();
            told.retain(|call| call.function == *id);
            !told.is_empty()
        });
        let [call] = told.as_slice() else { panic!("told {} times", told.len()) };
        assert_eq!((call.status, call.container > 0), (444, reached == Condition::Busy), "{call:?}");
        assert!(call.fault.contains("the caller left"), "{}", call.fault);
    }
}

#[test]
fn a_container_is_frozen_between_calls_and_ends_when_idle() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), settings());
    let id = served.function("f", &json!({"idle_timeout": 4}));
    let pid = served.process(&id, "pid");
    until("it is stopped", || state(&pid) == Some('T'));
    let seen = served.platform.pool.seen();
    let shown = |container: &Seen| container.pid.is_some_and(|shown| shown.to_string() == pid);
    assert!(seen.iter().any(|it| it.condition == Condition::Frozen && shown(it)), "{pid} {seen:?}");
    assert_eq!(served.process(&id, "pid"), pid, "the same one is thawed");
    until("it is stopped again", || state(&pid) == Some('T'));
    until("it is ended", || !runs(&pid));
    assert_ne!(served.process(&id, "pid"), pid);
    // A change of configuration is a change of containers.
    let before = served.process(&id, "pid");
    served.put(&format!("/v2/fns/{id}"), &json!({"config": {"X": "1"}}));
    assert_ne!(served.process(&id, "pid"), before);
    until("the old one is gone", || !runs(&before));
}

#[test]
fn a_newer_build_is_swapped_in_under_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), settings());
    let id = served.function("f", &Value::Null);
    let before = served.process(&id, "pid");
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| served.invoke(&id, "sleep 3000").status);
        until("the call is on its way", || {
            served.platform.pool.seen().iter().any(|container| container.condition == Condition::Busy)
        });
        let (_, image) = served.platform.images.find("misbehave:1").unwrap();
        served.platform.images.keep(&image).unwrap();
        assert_ne!(served.process(&id, "pid"), before);
        assert_eq!(slow.join().unwrap(), 200, "it ended where it began");
    });
    until("the old one is gone", || !runs(&before));
}

#[test]
fn a_hundred_callers_are_answered_by_few_containers() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { containers: 3, ..Limits::default() };
    let served = Served::start(folder.path(), Settings { limits, ..settings() });
    let id = served.function("f", &Value::Null);
    std::thread::scope(|scope| {
        for caller in 0..100 {
            let (served, id) = (&served, &id);
            scope.spawn(move || {
                for call in 0..10 {
                    let text = format!("{caller} {call}");
                    assert_eq!(served.invoke(id, &text).text, text);
                }
            });
        }
    });
    let seen = served.platform.pool.seen();
    assert!((1..=3).contains(&seen.len()), "{seen:?}");
    assert_eq!(seen.iter().map(|container| container.calls).sum::<u64>(), 1000);
}

#[test]
fn who_finds_no_container_free_in_time_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { containers: 1, ..Limits::default() };
    let served = Served::start(folder.path(), Settings { limits, ..settings() });
    let id = served.function("f", &json!({"timeout": 3}));
    assert_eq!(served.invoke(&id, "warm").status, 200);
    // The last of three would have to wait for the other two, which is longer than it may.
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..3).map(|_| scope.spawn(|| served.invoke(&id, "sleep 2000"))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert!(answers.iter().any(|answer| answer.status == 200), "none was answered");
    let busy = answers.iter().find(|answer| answer.status == 503).unwrap();
    assert_eq!(busy.error().1, "Timed out - server too busy");
    assert_eq!(busy.headers["retry-after"], "15");
}

#[test]
fn functions_killed_at_random_cost_their_call_alone_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start_alone(folder.path(), settings());
    let id = served.function("f", &Value::Null);
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    served.invoke(&id, "warm");
    let before = descriptors();
    let mut pids = Vec::new();
    for round in 0..21 {
        let pid = served.process(&id, "pid");
        let kill = || {
            let id = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            let above = parent(&pid);
            rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
            // Who stands for it outside of its PID namespace ends after it.
            until("it is dead", || !runs(&pid) && (above == std::process::id().to_string() || !runs(&above)));
        };
        match round % 3 {
            0 => kill(),
            1 => assert_eq!(served.invoke(&id, "exit").status, 502),
            _ => std::thread::scope(|scope| {
                let call = scope.spawn(|| served.invoke(&id, "sleep 20000").status);
                until("the call is on its way", || {
                    served.platform.pool.seen().iter().any(|container| container.condition == Condition::Busy)
                });
                kill();
                assert_eq!(call.join().unwrap(), 502);
            }),
        }
        pids.push(pid);
        assert_eq!(served.invoke(&id, "still there").text, "still there");
    }
    until("all are gone", || !pids.iter().any(|pid| runs(pid)));
    // The client's own connections and the containers' ends come and go.
    until("descriptors are as before", || descriptors() <= before + 20);
}

#[test]
fn a_streamed_reply_comes_as_it_is_made_and_a_broken_one_is_not_whole() {
    use std::io::{Read as _, Write as _};
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), Settings { stream_replies: true, ..settings() });
    let id = served.function("f", &json!({"timeout": 2}));
    let before = served.process(&id, "pid");
    let mut stream = std::net::TcpStream::connect(served.url.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "POST /invoke/{id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\ndrip").unwrap();
    let mut reply = String::new();
    // The function never ends its reply: it is killed, and the connection breaks off.
    let _ = stream.read_to_string(&mut reply);
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.contains("one"), "{reply}");
    assert!(!reply.ends_with("0\r\n\r\n"), "{reply}");
    until("it is killed", || !runs(&before));
    assert_eq!(served.platform.calls.all().pop().unwrap().status, 504);
    assert_eq!(served.invoke(&id, "whole").text, "whole");
}

#[test]
fn a_function_sees_the_platforms_walls() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::strongest(false);
    if !sandbox.missing().is_empty() {
        workspace_tests::not_run::absent(
            "walls",
            "user namespaces",
            "root, or sysctl kernel.unprivileged_userns_clone=1",
        );
        return;
    }
    let served = Served::start_alone(folder.path(), settings());
    let id = served.function("f", &json!({"memory": 128}));
    let seen = served.invoke(&id, "look").text;
    for line in [
        "Uid: 1000 1000 1000 1000",
        "CapEff: 0000000000000000",
        "NoNewPrivs: 1",
        "Max open files 350 350 files",
        "Max locked memory 65536 65536 bytes",
        "root Err(ReadOnlyFilesystem)",
        "tmp Ok(())",
        "home false",
        "interfaces 1",
        "visible Some(Some(\"seen\"))",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line:?} in {seen}");
    }
    assert!(
        seen.contains("etc Err(ReadOnlyFilesystem)") || seen.contains("etc Err(PermissionDenied)"),
        "{seen}"
    );
    let holds = seen.lines().find_map(|line| line.strip_prefix("tmp holds ")?.strip_suffix(" MB")).unwrap();
    assert!((28..=32).contains(&holds.parse::<u32>().unwrap()), "{seen}");
    // Itself, and its one thread for a call, are of the fifty. As root the limit counts all that user 1000 has at its start:
    // a process of that user's that ends just then leaves room for another, so each of a few has its own try.
    let bred: Vec<u32> = (0..5)
        .map(|n| served.function(&format!("breeder{n}"), &Value::Null))
        .map(|breeder| served.invoke(&breeder, "breed 100").text.parse().unwrap())
        .collect();
    assert!(bred.iter().any(|bred| (40..50).contains(bred)), "{bred:?} processes");
    until("it is stopped", || {
        served.platform.pool.seen().iter().all(|container| container.condition == Condition::Frozen)
    });
    assert_eq!(served.invoke(&id, "thawed").text, "thawed");
}
