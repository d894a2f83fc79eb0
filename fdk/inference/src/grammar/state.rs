//! How far a reply is in its grammar.

use super::number::Digits;
use super::rest::count;
use super::text::{Characters, Step, Texts};
use super::{Grammar, Id, Literals, Node, THREADS};
use crate::error::Error;
use crate::interrupt::Interrupt;
use std::rc::Rc;

/// Everything that the bytes so far can be: at most [`THREADS`] things, the first ones where there are more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    threads: Vec<Thread>,
}

/// One thing that they can be: the innermost value that is open, and those around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Thread {
    pub(super) top: Frame,
    pub(super) below: Option<Rc<Link>>,
}

// With `Eq` two of the same place in memory are not compared any further.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) frame: Frame,
    pub(super) below: Option<Rc<Self>>,
    /// How many values are open here, this one included.
    pub(super) depth: u32,
}

impl Thread {
    /// How many values its innermost one is in.
    pub(super) fn depth(&self) -> u32 {
        depth(self.below.as_ref())
    }
}

fn depth(below: Option<&Rc<Link>>) -> u32 {
    below.map_or(0, |link| link.depth)
}

/// How far one value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    Text(Characters, Texts),
    Number {
        node: Id,
        digits: Digits,
    },
    /// One of the node's texts from `low` to `high`, which have their first `at` bytes in common.
    Literal {
        node: Id,
        low: usize,
        high: usize,
        at: usize,
    },
    /// In the name of a record's field.
    Key {
        node: Id,
        field: usize,
        at: usize,
    },
    /// A list, with its items so far; a record, with the fields that can come no more; a map.
    Open {
        node: Id,
        at: At,
        count: u32,
    },
    Done,
}

/// Where a list or an object is between its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Before its bracket.
    Bracket,
    /// Before its first value.
    First,
    /// After a value.
    After,
    /// After a comma, before its space.
    Space,
    /// After that space.
    Next,
    /// In a map, after a name.
    Colon,
    ColonSpace,
}

impl Grammar {
    /// Before the first byte.
    pub(crate) fn start(&self) -> State {
        let mut state = State::default();
        self.enter(self.root, None, &mut state.threads);
        state
    }

    /// The state after one byte more. It is empty, as [`State::is_dead`] says, where that byte cannot come.
    pub(crate) fn step(&self, state: &State, byte: u8, next: &mut State) {
        next.threads.clear();
        let threads = &mut next.threads;
        for thread in &state.threads {
            let before = threads.len();
            self.step_thread(thread, byte, threads);
            // Several may have become the same.
            let mut kept = before;
            for at in before..threads.len() {
                if !threads[..kept].contains(&threads[at]) {
                    threads.swap(kept, at);
                    kept += 1;
                }
            }
            // Whatever is left out, a reply that goes on as one that is kept fits, and has an end.
            threads.truncate(kept.min(THREADS));
            if threads.len() == THREADS {
                return;
            }
        }
    }

    /// The state after these bytes; `None` where they cannot come.
    pub(crate) fn walk(&self, state: &State, bytes: &[u8]) -> Option<State> {
        let (mut now, mut next) = (state.clone(), State::default());
        for byte in bytes {
            self.step(&now, *byte, &mut next);
            std::mem::swap(&mut now, &mut next);
            if now.is_dead() {
                return None;
            }
        }
        Some(now)
    }

    /// Whether the bytes so far are a value that may end here.
    pub(crate) fn is_whole(&self, state: &State) -> bool {
        state.threads.iter().any(|thread| thread.below.is_none() && self.ends(thread.top))
    }

    /// The fewest bytes that make a value of what is there.
    pub(crate) fn shortest_rest(&self, state: &State) -> Vec<u8> {
        let rests = state.threads.iter().map(|thread| self.rest(thread));
        rests.min_by_key(Vec::len).unwrap_or_default()
    }

    /// The bytes that must come next, up to where there is a choice.
    pub(crate) fn forced(&self, state: &State, interrupt: &Interrupt<'_>) -> Result<(Vec<u8>, State), Error> {
        let (mut now, mut next, mut only) = (state.clone(), State::default(), State::default());
        let mut bytes = Vec::new();
        while !self.is_whole(&now) {
            interrupt.check()?;
            let mut found = None;
            for byte in 0..=u8::MAX {
                self.step(&now, byte, &mut next);
                if next.is_dead() {
                    continue;
                }
                if found.is_some() {
                    return Ok((bytes, now));
                }
                found = Some(byte);
                std::mem::swap(&mut only, &mut next);
            }
            let Some(byte) = found else { break };
            bytes.push(byte);
            std::mem::swap(&mut now, &mut only);
        }
        Ok((bytes, now))
    }

    fn ends(&self, frame: Frame) -> bool {
        match (frame, frame.node().map(|node| &self.nodes[node])) {
            (Frame::Done, _) => true,
            (Frame::Number { digits, .. }, Some(Node::Number(numbers))) => digits.is_whole(numbers),
            // Of texts that begin alike the one that ends there is the first.
            (Frame::Literal { low, at, .. }, Some(Node::Literals(literals))) => {
                literals.texts.get(low).is_some_and(|text| text.len() == at)
            }
            _ => false,
        }
    }

    /// The threads of a value that is about to begin.
    fn enter(&self, node: Id, below: Option<&Rc<Link>>, out: &mut Vec<Thread>) {
        if !self.possible(node, depth(below)) {
            return;
        }
        let top = match &self.nodes[node] {
            Node::Text(texts) => Frame::Text(Characters::START, *texts),
            Node::Number(_) => Frame::Number { node, digits: Digits::START },
            Node::Literals(literals) => Frame::Literal { node, low: 0, high: literals.texts.len(), at: 0 },
            Node::List { .. } | Node::Record(_) | Node::Map(_) => {
                Frame::Open { node, at: At::Bracket, count: 0 }
            }
            Node::Choice(choices) => {
                for choice in choices {
                    self.enter(*choice, below, out);
                }
                return;
            }
        };
        out.push(Thread { top, below: below.cloned() });
    }

    /// As [`Grammar::enter`], with the value's first byte.
    fn enter_with(&self, node: Id, below: &Rc<Link>, byte: u8, out: &mut Vec<Thread>) {
        let mut begun = Vec::new();
        self.enter(node, Some(below), &mut begun);
        for thread in &begun {
            self.step_thread(thread, byte, out);
        }
    }

    fn step_thread(&self, thread: &Thread, byte: u8, out: &mut Vec<Thread>) {
        let stay = |top: Frame| Thread { top, below: thread.below.clone() };
        match thread.top {
            Frame::Done => {}
            Frame::Text(characters, texts) => match characters.step(byte, texts) {
                Some(Step::Goes(characters)) => out.push(stay(Frame::Text(characters, texts))),
                Some(Step::Ends) => out.push(leave(thread.below.as_ref())),
                None => {}
            },
            Frame::Number { node, digits } => {
                let Node::Number(numbers) = &self.nodes[node] else { return };
                if let Some(digits) = digits.step(byte, numbers) {
                    out.push(stay(Frame::Number { node, digits }));
                } else if digits.is_whole(numbers) {
                    // It ends by what comes after it.
                    self.step_thread(&leave(thread.below.as_ref()), byte, out);
                }
            }
            Frame::Literal { node, low, high, at } => {
                let Node::Literals(Literals { texts, .. }) = &self.nodes[node] else { return };
                let has = |text: &[u8]| text.get(at).copied();
                let from = low + texts[low..high].partition_point(|text| has(text) < Some(byte));
                let to = low + texts[low..high].partition_point(|text| has(text) <= Some(byte));
                if from < to {
                    let at = at + 1;
                    let only = to - from == 1 && texts[from].len() == at;
                    let frame = Frame::Literal { node, low: from, high: to, at };
                    out.push(if only { leave(thread.below.as_ref()) } else { stay(frame) });
                } else if self.ends(thread.top) {
                    self.step_thread(&leave(thread.below.as_ref()), byte, out);
                }
            }
            Frame::Key { node, field, at } => {
                let Node::Record(fields) = &self.nodes[node] else { return };
                let (key, value) = (&fields[field].key, fields[field].node);
                if key.get(at) != Some(&byte) {
                    return;
                }
                if at + 1 < key.len() {
                    return out.push(stay(Frame::Key { node, field, at: at + 1 }));
                }
                let after = Frame::Open { node, at: At::After, count: count(field + 1) };
                self.enter(value, Some(&link(after, thread.below.as_ref())), out);
            }
            Frame::Open { node, at, count } => match &self.nodes[node] {
                Node::List { item, least, most } => {
                    let move_to = |at| Frame::Open { node, at, count };
                    match (at, byte) {
                        (At::Bracket, b'[') => out.push(stay(move_to(At::First))),
                        (At::First | At::After, b']') if count >= *least => {
                            out.push(leave(thread.below.as_ref()));
                        }
                        (At::After, b',') if count < *most && self.possible(*item, thread.depth() + 1) => {
                            out.push(stay(move_to(At::Space)));
                        }
                        (At::Space, b' ') => out.push(stay(move_to(At::Next))),
                        (At::First | At::Next, _) if count < *most => {
                            let after = Frame::Open { node, at: At::After, count: count + 1 };
                            self.enter_with(*item, &link(after, thread.below.as_ref()), byte, out);
                        }
                        _ => {}
                    }
                }
                Node::Record(_) => self.step_record(thread, node, (at, count), byte, out),
                Node::Map(value) => self.step_map(thread, node, *value, at, byte, out),
                _ => {}
            },
        }
    }

    fn step_record(&self, thread: &Thread, node: Id, (at, next): (At, u32), byte: u8, out: &mut Vec<Thread>) {
        let Node::Record(fields) = &self.nodes[node] else { return };
        let stay = |top: Frame| Thread { top, below: thread.below.clone() };
        let move_to = |at| Frame::Open { node, at, count: next };
        let later = || fields.iter().enumerate().skip(next as usize);
        let can_end = || !later().any(|(_, field)| field.required);
        match (at, byte) {
            (At::Bracket, b'{') => out.push(stay(move_to(At::First))),
            (At::First | At::After, b'}') if can_end() => out.push(leave(thread.below.as_ref())),
            (At::After, b',') if later().any(|(_, field)| self.possible(field.node, thread.depth() + 1)) => {
                out.push(stay(move_to(At::Space)));
            }
            (At::Space, b' ') => out.push(stay(move_to(At::Next))),
            (At::First | At::Next, b'"') => {
                for (field, entry) in later() {
                    if self.possible(entry.node, thread.depth() + 1) {
                        out.push(stay(Frame::Key { node, field, at: 1 }));
                    }
                    // None may be left out that is required.
                    if entry.required {
                        break;
                    }
                }
            }
            _ => {}
        }
    }

    fn step_map(&self, thread: &Thread, node: Id, value: Id, at: At, byte: u8, out: &mut Vec<Thread>) {
        let stay = |top: Frame| Thread { top, below: thread.below.clone() };
        let move_to = |at| Frame::Open { node, at, count: 0 };
        match (at, byte) {
            (At::Bracket, b'{') => out.push(stay(move_to(At::First))),
            (At::First | At::After, b'}') => out.push(leave(thread.below.as_ref())),
            (At::After, b',') if self.possible(value, thread.depth() + 1) => {
                out.push(stay(move_to(At::Space)));
            }
            (At::Space, b' ') => out.push(stay(move_to(At::Next))),
            (At::First | At::Next, b'"') if self.possible(value, thread.depth() + 1) => {
                let below = Some(link(move_to(At::Colon), thread.below.as_ref()));
                out.push(Thread { top: Frame::Text(Characters::OPEN, Texts::ANY), below });
            }
            (At::Colon, b':') => out.push(stay(move_to(At::ColonSpace))),
            (At::ColonSpace, b' ') => {
                self.enter(value, Some(&link(move_to(At::After), thread.below.as_ref())), out);
            }
            _ => {}
        }
    }
}

impl Frame {
    fn node(self) -> Option<Id> {
        match self {
            Self::Number { node, .. }
            | Self::Literal { node, .. }
            | Self::Key { node, .. }
            | Self::Open { node, .. } => Some(node),
            Self::Text(..) | Self::Done => None,
        }
    }
}

impl State {
    /// Whether nothing that fits begins so.
    pub(crate) fn is_dead(&self) -> bool {
        self.threads.is_empty()
    }

    /// How many things the bytes so far can be: the work of a step.
    pub(crate) fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Whether the value has ended and nothing more can come.
    pub(crate) fn is_done(&self) -> bool {
        self.threads.iter().all(|thread| thread.top == Frame::Done)
    }
}

fn link(frame: Frame, below: Option<&Rc<Link>>) -> Rc<Link> {
    Rc::new(Link { frame, below: below.cloned(), depth: depth(below) + 1 })
}

/// What is around a value that has ended.
fn leave(below: Option<&Rc<Link>>) -> Thread {
    match below {
        Some(link) => Thread { top: link.frame, below: link.below.clone() },
        None => Thread { top: Frame::Done, below: None },
    }
}
