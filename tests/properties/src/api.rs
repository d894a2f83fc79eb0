//! Any bytes to the platform's HTTP side: whatever they are, no thread panics, and the next request is answered. What was
//! created stays: a finding may need the inputs before it.

use cargo_fdk::images::Images;
use cargo_fdk::platform::{Platform, Settings};
use cargo_fdk::server::{self, Doors};
use cargo_fdk::store::Store;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

const WELL_FORMED: &[u8] =
    b"GET /v2/apps?per_page=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Starts the platform at the first input, with no function: what is looked for is in front of them.
fn serving() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let state = std::env::temp_dir().join(format!("fdk-fuzz-api-{}", std::process::id()));
        let (told, address) = mpsc::channel();
        std::thread::spawn(move || {
            let store = Store::open(&state.join("state.redb")).expect("a store");
            let platform =
                Arc::new(Platform::new(store, Images::at(state.join("images")), Settings::default()));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                told.send(listener.local_addr().expect("an address")).expect("somebody waits");
                server::serve(listener, platform, Doors::default(), std::future::pending()).await;
            });
        });
        address.recv().expect("the platform starts")
    })
}

fn connect() -> TcpStream {
    let stream = TcpStream::connect(serving()).expect("the platform accepts");
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    stream.set_write_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    stream
}

/// Takes an input through.
pub fn run(input: &[u8]) {
    let mut hostile = connect();
    crate::assert_no_hang(hostile.write_all(input));

    // While the server may still wait for more of that.
    let (mut next, mut reply) = (connect(), Vec::new());
    crate::assert_no_hang(next.write_all(WELL_FORMED));
    crate::assert_no_hang(next.read_to_end(&mut reply).map(drop));
    let text = String::from_utf8_lossy(&reply);
    let listed = text.split_once("\r\n\r\n").map(|(_, body)| body.trim());
    let listed = serde_json::from_str::<serde_json::Value>(listed.unwrap_or_default());
    assert!(text.starts_with("HTTP/1.1 200 ") && listed.is_ok(), "the next request: {text:?}");

    reply.clear();
    crate::assert_no_hang(hostile.shutdown(Shutdown::Write));
    crate::assert_no_hang(hostile.read_to_end(&mut reply).map(drop));
    assert!(reply.is_empty() || reply.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&reply));
}
