//! The measurements. Peers take turns within every round: A B C D A B C D.

use crate::Result;
use crate::client::{Connection, request};
use crate::function::{Function, Memory};
use crate::peers::Peer;
use crate::stats::median;
use std::time::{Duration, Instant};

/// What was measured of one peer; `Err` says why nothing was.
pub(crate) type Measured = Result<Figures>;

#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) socket_ms: Vec<f64>,
    pub(crate) first_reply_ms: Vec<f64>,
    pub(crate) memory: Option<Memory>,
    pub(crate) small: Calls,
    pub(crate) large: Calls,
}

/// Calls of one size on one kept connection.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) micros: Vec<f64>,
    /// Of each round, its median and its rate.
    pub(crate) round_micros: Vec<f64>,
    pub(crate) round_rate: Vec<f64>,
    /// Processor time of the server for one call, of each round: what waiting for a core cannot change.
    pub(crate) round_cpu_micros: Vec<f64>,
}

/// How much of everything.
struct Plan {
    spawns: usize,
    small: Blocks,
    large: Blocks,
}

/// Servers started one after the other, rounds for each, calls in a round.
struct Blocks {
    servers: usize,
    rounds: usize,
    calls: usize,
}

const FULL: Plan = Plan {
    spawns: 25,
    small: Blocks { servers: 25, rounds: 8, calls: 100 },
    large: Blocks { servers: 10, rounds: 10, calls: 10 },
};
const QUICK: Plan = Plan {
    spawns: 5,
    small: Blocks { servers: 3, rounds: 5, calls: 100 },
    large: Blocks { servers: 2, rounds: 5, calls: 10 },
};
impl std::fmt::Display for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} servers of each, {} rounds, {} calls", self.servers, self.rounds, self.calls)
    }
}

const MEMORY_CALLS: usize = 1000;

/// Measures every peer that is there. One that fails is reported as such, and the others go on.
pub(crate) fn all(peers: &[Peer], quick: bool) -> Result<Vec<Measured>> {
    let plan = if quick { QUICK } else { FULL };
    let mut measured: Vec<Measured> = peers
        .iter()
        .map(|peer| peer.spec.as_ref().map(|_| Figures::default()).map_err(Clone::clone))
        .collect();

    eprintln!("starts: {} each", plan.spawns);
    for _ in 0..plan.spawns {
        each(peers, &mut measured, |_, peer, figures| spawn(peer, figures));
    }
    eprintln!("memory after {MEMORY_CALLS} calls");
    each(peers, &mut measured, |_, peer, figures| weigh(peer, figures));

    eprintln!("1 KB: {}", plan.small);
    blocks(peers, &mut measured, &[b'x'; 1024], &plan.small, |figures| &mut figures.small);
    eprintln!("1 MB: {}", plan.large);
    blocks(peers, &mut measured, &vec![b'x'; 1024 * 1024], &plan.large, |figures| &mut figures.large);
    if measured.iter().all(Result::is_err) {
        return Err("nothing could be measured".into());
    }
    Ok(measured)
}

/// Calls of one size, to servers started for it: what a large body leaves in a server's heap is no part of a small
/// call. They are started anew several times: where the system puts a server's threads at its start it leaves them, and
/// that alone makes a small call half as slow again.
fn blocks(
    peers: &[Peer],
    measured: &mut [Measured],
    body: &[u8],
    plan: &Blocks,
    figures_of: fn(&mut Figures) -> &mut Calls,
) {
    for _ in 0..plan.servers {
        let mut servers: Vec<Option<(Function, Connection)>> = Vec::new();
        for (peer, measured) in peers.iter().zip(&mut *measured) {
            servers.push(if peer.echoes { connect(peer, body, measured) } else { None });
        }
        for _ in 0..plan.rounds {
            each(peers, measured, |index, _, figures| {
                calls(&mut servers[index], body, plan.calls, figures_of(figures))
            });
        }
    }
}

/// One turn of every peer that has not failed yet.
fn each(
    peers: &[Peer],
    measured: &mut [Measured],
    mut turn: impl FnMut(usize, &Peer, &mut Figures) -> Result<()>,
) {
    for (index, peer) in peers.iter().enumerate() {
        if let Ok(figures) = &mut measured[index]
            && let Err(why) = turn(index, peer, figures)
        {
            measured[index] = Err(why);
        }
    }
}

fn spawn(peer: &Peer, figures: &mut Figures) -> Result<()> {
    let (body, content_type) = peer.body();
    let request = request(body, content_type);
    let function = Function::start(peer.spec.as_ref().map_err(Clone::clone)?)?;
    function.connect()?.call(&request)?;
    figures.first_reply_ms.push(milliseconds(function.spawned.elapsed()));
    figures.socket_ms.push(milliseconds(function.socket_after));
    Ok(())
}

fn weigh(peer: &Peer, figures: &mut Figures) -> Result<()> {
    let (body, content_type) = peer.body();
    let function = Function::start(peer.spec.as_ref().map_err(Clone::clone)?)?;
    let mut connection = function.connect()?;
    for _ in 0..MEMORY_CALLS {
        connection.call(&request(body, content_type))?;
    }
    figures.memory = Some(function.memory()?);
    Ok(())
}

/// A server warmed up, whose echo is proven to be one.
fn connect(peer: &Peer, body: &[u8], measured: &mut Measured) -> Option<(Function, Connection)> {
    let start = || {
        let function = Function::start(peer.spec.as_ref().map_err(Clone::clone)?)?;
        let mut connection = function.connect()?;
        for _ in 0..50 {
            if connection.call(&request(body, "text/plain"))? != body {
                return Err(format!("{} does not echo {} bytes", peer.label, body.len()));
            }
        }
        Ok((function, connection))
    };
    if measured.is_err() {
        return None;
    }
    start().map_err(|why| *measured = Err(why)).ok()
}

fn calls(
    server: &mut Option<(Function, Connection)>,
    body: &[u8],
    count: usize,
    figures: &mut Calls,
) -> Result<()> {
    let Some((function, connection)) = server else { return Ok(()) };
    // Anew for each round, so that its deadline lies ahead.
    let request = request(body, "text/plain");
    // Wakes the peer, whose caches the others have taken since its last turn.
    connection.call(&request)?;
    let first = figures.micros.len();
    let cpu = function.cpu()?;
    let began = Instant::now();
    for _ in 0..count {
        let began = Instant::now();
        connection.call(&request)?;
        figures.micros.push(milliseconds(began.elapsed()) * 1e3);
    }
    let took = began.elapsed();
    let cpu = function.cpu()?.saturating_sub(cpu);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred calls")]
    let count = count as f64;
    figures.round_rate.push(count / took.as_secs_f64());
    figures.round_cpu_micros.push(milliseconds(cpu) * 1e3 / count);
    figures.round_micros.push(median(&figures.micros[first..]));
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
