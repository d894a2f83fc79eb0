//! Requests that mean harm: sizes, nesting, repetition, Unicode, and fields that are not what they should be, for each task
//! and in each client's shape. The same seed makes the same requests.

use flate2::{Compression, Crc, write::ZlibEncoder};
use std::fmt::Write as _;
use std::io::Write as _;

/// What OCI takes at most, and the examples with it.
const BODY: usize = 6 * 1024 * 1024;
/// A little more than a text may have.
const TEXT: usize = 300 * 1024;
/// And a little more than there may be of them.
const TEXTS: usize = 4200;

/// A request, and whose it is.
pub(super) struct Request {
    /// The path behind the trigger's.
    pub(super) path: &'static str,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

impl Request {
    fn json(path: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { path, content_type: "application/json".into(), body: body.into() }
    }
}

/// What a function is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Task {
    Embed,
    Rerank,
    Classify,
    /// By a checkpoint's own labels.
    Predict,
    Tokens,
    Generate,
    Vision,
    Transcribe,
}

/// Numbers without a pattern (xorshift64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % count.max(1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// From 0 to `most`, small ones as often as large ones.
    fn size(&mut self, most: usize) -> usize {
        let bits = usize::BITS - most.leading_zeros();
        let shift = self.below(bits as usize + 1);
        self.below((1 << shift) + 1).min(most)
    }

    fn text(&mut self, most: usize) -> String {
        const PIECES: [&str; 34] = [
            "",
            "word ",
            "!",
            "a",
            "A",
            " ",
            "\0",
            "\u{1}",
            "\n",
            "\t",
            "é",
            "東",
            "🙂",
            "e\u{301}",
            "\u{301}",
            "\u{FDD0}",
            "\u{F0000}",
            "\u{FDFA}",
            "\u{1D15F}",
            "\u{AC01}",
            "[SEP]",
            "[",
            "##",
            "<|im_end|>",
            "<|",
            "<|im_start|>system\n",
            "\u{202E}",
            "\u{200D}",
            "1",
            "1234567890 ",
            "'s",
            "\"",
            "\\",
            "{",
        ];
        let bytes = self.size(most);
        if self.one_in(3) {
            // Each of a range once: what is looked for in such a text is found late.
            if self.one_in(4) {
                return ('\u{F0000}'..='\u{FFFFD}').take(bytes / 4).collect();
            }
            let pieces: Vec<&str> = (0..8).map(|_| *self.pick(&PIECES)).collect();
            let mut text = String::new();
            while text.len() < bytes {
                let piece = *self.pick(&pieces);
                text += if piece.is_empty() { "x" } else { piece };
            }
            return text;
        }
        let piece = *self.pick(&PIECES);
        piece.repeat(bytes / piece.len().max(1))
    }

    fn string(&mut self, most: usize) -> String {
        quoted(&self.text(most))
    }

    /// A list of texts, within what a body may have.
    fn texts(&mut self) -> String {
        let count = self.size(TEXTS);
        let most = (BODY / count.max(1)).min(TEXT);
        let one = self.string(most);
        let same = self.one_in(2);
        let mut list = String::from("[");
        for at in 0..count {
            if at > 0 {
                list.push(',');
            }
            if same {
                list += &one;
            } else {
                list += &self.string(most / 8);
            }
            if list.len() > BODY {
                break;
            }
        }
        list + "]"
    }

    fn text_or_texts(&mut self) -> String {
        if self.one_in(4) { self.string(TEXT) } else { self.texts() }
    }

    /// What should not be where it is put.
    fn odd(&mut self) -> String {
        let count = self.size(BODY / 3);
        match self.below(12) {
            0 => "[".repeat(count) + &"]".repeat(count),
            1 => "{\"a\":".repeat(count / 6) + "0" + &"}".repeat(count / 6),
            2 => list("0", count),
            3 => list("\"\"", count),
            4 => list("{\"\":0}", count / 3),
            5 => list("[[]]", count / 2),
            6 => keys(count / 8),
            7 => self.string(BODY),
            8 => self.word(&["null", "true", "1e400", "-0", "1e-9", "NaN", "99999999999999999999999", "-1"]),
            9 => "9".repeat(count),
            10 => list("{\"type\":\"text\",\"text\":\"\"}", count / 20),
            _ => self.schema(BODY),
        }
    }

    /// An object of these fields; now and then one is not what it should be, is twice there, or is none that is known.
    fn object(&mut self, mut fields: Vec<(&str, String)>) -> String {
        if self.one_in(3) {
            let at = self.below(fields.len());
            match self.below(4) {
                0 => drop(fields.remove(at)),
                1 => fields.push(fields[at].clone()),
                2 => fields.push(("unknown", self.odd())),
                _ => fields[at].1 = self.odd(),
            }
        }
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
        format!("{{{}}}", fields.join(","))
    }

    /// A schema of about so many bytes at most, in which the same is allowed in many ways, or much of it.
    fn schema(&mut self, bytes: usize) -> String {
        if bytes < 200 {
            return "{}".into();
        }
        let one = if self.one_in(2) { "{}".into() } else { self.schema(bytes / 4) };
        let count = self.size((bytes / (one.len() + 30)).min(30_000));
        let names = |every: usize| {
            (0..count).step_by(every).map(|key| format!("\"k{key}\"")).collect::<Vec<_>>().join(",")
        };
        match self.below(16) {
            0 => "{\"items\":".repeat(count) + &one + &"}".repeat(count),
            1 => {
                let fields: Vec<String> = (0..count).map(|key| format!("\"k{key}\":{one}")).collect();
                format!("{{\"properties\":{{{}}},\"required\":[{}]}}", fields.join(","), names(2))
            }
            2 => format!("{{\"anyOf\":{}}}", list(&one, count)),
            3 => {
                let mut of: Vec<String> = (0..count.min(20)).map(|_| self.schema(bytes / 40)).collect();
                of.push(one);
                format!("{{\"anyOf\":[{}]}}", of.join(","))
            }
            4 => {
                let value = "v".repeat(count % 50);
                let values: Vec<String> = (0..count).map(|at| format!("\"{value}{at}\"")).collect();
                format!("{{\"enum\":[{}]}}", values.join(","))
            }
            5 => format!("{{\"required\":[{}],\"additionalProperties\":{one}}}", names(1)),
            6 => format!("{{\"const\":{}}}", self.string(200_000)),
            7 => format!("{{\"type\":{}}}", list("\"object\"", count)),
            8 => doubling(",{\"type\":\"null\"}"),
            9 => strings(count.min(300)),
            10 => format!("{{\"type\":\"array\",\"minItems\":{count},\"items\":{one}}}"),
            11 => format!("{{\"type\":\"string\",\"minLength\":{}}}", self.size(100_000)),
            12 => format!("{{\"properties\":{{{}:{one}}}}}", self.string(1000)),
            13 => keys(count),
            14 => "{\"type\":[\"string\",\"integer\",\"null\",\"object\",\"array\"]}".into(),
            _ => one,
        }
    }

    fn messages(&mut self) -> String {
        let count = self.size(5000);
        let most = (BODY / count.max(1)).min(TEXT);
        let one = self.string(most);
        let turn = |at: usize| if at.is_multiple_of(2) { "user" } else { "assistant" };
        let all: Vec<String> =
            (0..count.max(1)).map(|at| format!("{{\"role\":\"{}\",\"content\":{one}}}", turn(at))).collect();
        format!("[{}]", all.join(","))
    }

    fn word(&mut self, of: &[&str]) -> String {
        (*self.pick(of)).to_owned()
    }

    fn flag(&mut self) -> String {
        self.word(&["true", "false", "null"])
    }

    fn generate(&mut self) -> Request {
        let most = self.word(&["1", "8", "40", "0", "100000"]);
        let temperature = self.word(&["0", "1", "2", "-1"]);
        let budget = self.size(BODY);
        let schema = self.schema(budget);
        match self.below(6) {
            0 => {
                let mut fields =
                    vec![("prompt", self.string(TEXT)), ("max_tokens", most), ("temperature", temperature)];
                if self.one_in(2) {
                    fields.push(("stop", self.texts()));
                }
                Request::json("/generate", self.object(fields))
            }
            1 => {
                let fields =
                    vec![("messages", self.messages()), ("max_tokens", most), ("stream", self.flag())];
                Request::json("/generate", self.object(fields))
            }
            2 => {
                let fields = vec![
                    ("prompt", "\"As JSON: \"".into()),
                    ("schema", schema),
                    ("max_tokens", most),
                    ("temperature", temperature),
                ];
                Request::json("/generate", self.object(fields))
            }
            3 => {
                let format = self.object(vec![
                    ("type", "\"json_schema\"".into()),
                    ("json_schema", format!("{{\"schema\":{schema}}}")),
                ]);
                let fields = vec![
                    ("model", "\"smollm2\"".into()),
                    ("messages", self.messages()),
                    ("max_tokens", most),
                    ("response_format", format),
                ];
                Request::json("/v1/chat/completions", self.object(fields))
            }
            4 => {
                let fields = vec![
                    ("model", "\"smollm2\"".into()),
                    ("prompt", self.string(TEXT)),
                    ("max_tokens", most),
                    ("stream", self.flag()),
                ];
                Request::json("/v1/completions", self.object(fields))
            }
            _ => {
                let format = self.object(vec![("type", "\"JSON_OBJECT\"".into()), ("schema", schema)]);
                let part = format!("[{{\"type\":\"TEXT\",\"text\":{}}}]", self.string(TEXT));
                let messages =
                    format!("[{}]", self.object(vec![("role", "\"USER\"".into()), ("content", part)]));
                let fields = vec![
                    ("apiFormat", self.word(&["\"GENERIC\"", "\"COHERE\""])),
                    ("messages", messages),
                    ("message", self.string(TEXT)),
                    ("maxTokens", most),
                    ("responseFormat", format),
                    ("documents", self.odd()),
                ];
                let chat = self.object(fields);
                Request::json("/20231130/actions/chat", self.object(vec![("chatRequest", chat)]))
            }
        }
    }

    fn embed(&mut self) -> Request {
        match self.below(4) {
            0 => {
                let fields = vec![
                    ("inputs", self.text_or_texts()),
                    ("partial", self.flag()),
                    ("dimensions", self.below(500).to_string()),
                ];
                Request::json("/serve", self.object(fields))
            }
            1 => {
                let fields = vec![
                    ("model", "\"minilm\"".into()),
                    ("input", self.text_or_texts()),
                    ("encoding_format", "\"base64\"".into()),
                ];
                Request::json("/v1/embeddings", self.object(fields))
            }
            2 => {
                let fields = vec![("inputs", self.text_or_texts()), ("truncate", self.flag())];
                Request::json("/embed", self.object(fields))
            }
            _ => {
                let fields = vec![("inputs", self.texts()), ("truncate", "\"END\"".into())];
                Request::json("/20231130/actions/embedText", self.object(fields))
            }
        }
    }

    fn rerank(&mut self) -> Request {
        let (query, documents) = (self.string(TEXT), self.texts());
        match self.below(3) {
            0 => {
                let fields = vec![
                    ("query", query),
                    ("documents", documents),
                    ("return_documents", self.flag()),
                    ("top_n", self.below(9).to_string()),
                ];
                Request::json("/rerank", self.object(fields))
            }
            1 => Request::json(
                "/rerank",
                self.object(vec![("query", query), ("texts", documents), ("return_text", "true".into())]),
            ),
            _ => Request::json(
                "/20231130/actions/rerankText",
                self.object(vec![("input", query), ("documents", documents), ("isEcho", "true".into())]),
            ),
        }
    }

    fn file(&mut self, files: &[Vec<u8>]) -> Vec<u8> {
        let mut file = self.pick(files).clone();
        for _ in 0..self.size(50) {
            let at = self.below(file.len());
            // Headers are where the harm is.
            let at = if self.one_in(2) { at % 64 } else { at };
            match self.below(4) {
                0 => file.truncate(at.max(1)),
                1 => {
                    let copy = file[at..(at + self.size(4096)).min(file.len())].to_vec();
                    file.splice(at..at, copy);
                }
                _ => file[at] = self.next().to_le_bytes()[0],
            }
        }
        file
    }

    fn media(&mut self, task: Task, files: &[Vec<u8>]) -> Request {
        use base64::Engine as _;
        let (path, field) =
            if matches!(task, Task::Vision) { ("/vision", "image") } else { ("/transcribe", "audio") };
        let file = match (task, self.below(4)) {
            (Task::Vision, 0) => self.picture(),
            (Task::Transcribe, 0) => self.recording(),
            _ => self.file(files),
        };
        match self.below(if matches!(task, Task::Vision) { 3 } else { 4 }) {
            0 => {
                let data = base64::engine::general_purpose::STANDARD.encode(&file);
                let prompt = self.string(TEXT);
                let mut fields = vec![(field, quoted(&data))];
                if !matches!(task, Task::Vision) && self.one_in(2) {
                    fields.push(("prompt", prompt));
                }
                Request::json(path, self.object(fields))
            }
            3 => {
                let mut body = Vec::new();
                let mut part = |name: &str, value: &[u8]| {
                    body.extend(
                        format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n").bytes(),
                    );
                    body.extend(value);
                    body.extend(b"\r\n");
                };
                part("model", b"whisper-tiny-en");
                for _ in 0..self.size(2000) {
                    part("user", b"");
                }
                part("file", &file);
                if self.one_in(2) {
                    part("prompt", self.text(TEXT).as_bytes());
                }
                if self.one_in(4) {
                    part(&self.text(2000), b"");
                }
                body.extend(if self.one_in(8) { &b"--b"[..] } else { b"--b--\r\n" });
                Request {
                    path: "/v1/audio/transcriptions",
                    content_type: "multipart/form-data; boundary=b".into(),
                    body,
                }
            }
            _ => Request { path, content_type: "application/octet-stream".into(), body: file },
        }
    }

    /// A picture of one colour, which is a small file whatever its size.
    fn picture(&mut self) -> Vec<u8> {
        let (width, height) = (self.size(5000).max(1), self.size(5000).max(1));
        let (depth, colour) =
            *self.pick(&[(8, 0), (8, 2), (8, 6), (16, 0), (16, 2), (16, 6), (1, 0), (8, 4), (16, 4)]);
        png(width, height, depth, colour)
    }

    /// A WAV of silence and its claims.
    fn recording(&mut self) -> Vec<u8> {
        let rate = *self.pick(&[4000_u32, 8000, 16_000, 44_100, 384_000, 1, 0]);
        let channels = *self.pick(&[1_u16, 2, 8, 255, 0]);
        let bits = *self.pick(&[8_u16, 16, 24, 32, 0]);
        let silence = vec![if bits == 8 { 128 } else { 0 }; self.size(BODY - 100)];
        let claimed = if self.one_in(3) { u32::MAX } else { u32::try_from(silence.len()).unwrap() };
        let frame = channels.wrapping_mul(bits / 8);
        let mut file = b"RIFF".to_vec();
        file.extend(claimed.wrapping_add(36).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend(rate.wrapping_mul(frame.into()).to_le_bytes());
        file.extend(frame.to_le_bytes());
        file.extend(bits.to_le_bytes());
        file.extend(b"data");
        file.extend(claimed.to_le_bytes());
        file.extend(silence);
        file
    }

    /// The next request.
    pub(super) fn request(&mut self, task: Task, files: &[Vec<u8>]) -> Request {
        let mut request = match task {
            Task::Embed => self.embed(),
            Task::Rerank => self.rerank(),
            Task::Classify => {
                let fields = vec![
                    ("inputs", self.text_or_texts()),
                    ("labels", self.texts()),
                    ("multi_label", self.flag()),
                ];
                Request::json("/classify", self.object(fields))
            }
            Task::Predict => {
                let path = *self.pick(&["/predict", "/serve"]);
                let inputs = self.text_or_texts();
                Request::json(path, self.object(vec![("inputs", inputs)]))
            }
            Task::Tokens => {
                let inputs = self.text_or_texts();
                Request::json("/serve", self.object(vec![("inputs", inputs)]))
            }
            Task::Generate => self.generate(),
            Task::Vision | Task::Transcribe => self.media(task, files),
        };
        if self.one_in(20) {
            let at = self.below(request.body.len());
            request.body.truncate(at);
        } else if self.one_in(10) && !request.body.is_empty() {
            let at = self.below(request.body.len());
            request.body[at] = self.next().to_le_bytes()[0];
        }
        request
    }
}

/// What has cost a container, or would have: each comes before those that are found by chance.
pub(super) fn known(task: Task) -> Vec<Request> {
    let numbered = |count: usize| (0..count).map(|at| format!("\"{at}\"")).collect::<Vec<_>>().join(",");
    match task {
        Task::Embed => vec![
            Request::json(
                "/v1/embeddings",
                format!("{{\"model\":\"minilm\",\"input\":{}}}", list("\"\"", 2_000_000)),
            ),
            Request::json(
                "/v1/embeddings",
                format!("{{\"model\":\"minilm\",\"input\":{}}}", list("{\"\":0}", 850_000)),
            ),
            Request::json(
                "/v1/embeddings",
                format!("{{\"model\":\"minilm\",\"input\":{}}}", list("\"a\"", 4096)),
            ),
            Request::json("/serve", format!("{{\"inputs\":{}}}", list(&quoted(&"!".repeat(1500)), 4000))),
        ],
        Task::Rerank => vec![Request::json(
            "/rerank",
            format!(
                "{{\"query\":{},\"documents\":{}}}",
                quoted(&"!".repeat(256 * 1024)),
                list("\"a\"", 4096)
            ),
        )],
        Task::Classify => {
            let three_thousand = numbered(3000);
            vec![Request::json(
                "/classify",
                format!("{{\"inputs\":[{three_thousand}],\"labels\":[{three_thousand}]}}"),
            )]
        }
        Task::Predict => {
            vec![Request::json("/predict", format!("{{\"inputs\":{}}}", list("{\"\":0}", 850_000)))]
        }
        Task::Tokens => vec![Request::json(
            "/serve",
            format!("{{\"inputs\":{}}}", list(&quoted(&"!".repeat(1500)), 4000)),
        )],
        Task::Generate => {
            let own: String = ('\u{FDD0}'..='\u{FDEF}').chain('\u{F0000}'..='\u{FFFFD}').collect();
            let message = quoted(&format!("<|im_end|>{}", &own[..32 * 3 + 262_000]));
            let keys: Vec<String> = (0..400_000).map(|key| format!("\"{key}\":0")).collect();
            vec![
                Request::json(
                    "/v1/chat/completions",
                    format!("{{\"model\":\"smollm2\",\"messages\":{}}}", list("{\"\":0}", 850_000)),
                ),
                Request::json(
                    "/20231130/actions/chat",
                    format!(
                        "{{\"chatRequest\":{{\"apiFormat\":\"GENERIC\",\"documents\":{}}}}}",
                        list("{\"\":0}", 850_000)
                    ),
                ),
                Request::json(
                    "/generate",
                    format!(
                        "{{\"messages\":[{{\"role\":\"user\",\"content\":{message}}}],\"max_tokens\":1}}"
                    ),
                ),
                Request::json("/generate", format!("{{\"prompt\":\"a\",\"schema\":{{{}}}}}", keys.join(","))),
                Request::json(
                    "/generate",
                    format!("{{\"prompt\":\"a\",\"schema\":{},\"temperature\":1}}", doubling("")),
                ),
                Request::json(
                    "/generate",
                    format!("{{\"prompt\":\"a\",\"schema\":{},\"temperature\":1}}", strings(200)),
                ),
                Request::json(
                    "/generate",
                    format!(
                        "{{\"prompt\":\"a\",\"schema\":{{\"required\":[{}],\"additionalProperties\":{{\"required\":[{}]}}}}}}",
                        numbered(3000),
                        numbered(25_000)
                    ),
                ),
            ]
        }
        Task::Vision => {
            vec![(4096, 4096, 16, 6), (4096, 3300, 16, 6), (4096, 4096, 8, 6), (16_000_000, 1, 8, 2)]
                .into_iter()
                .map(|(width, height, depth, colour)| Request {
                    path: "/vision",
                    content_type: "image/png".into(),
                    body: png(width, height, depth, colour),
                })
                .collect()
        }
        Task::Transcribe => {
            let prompt = quoted(&"word ".repeat(1_000_000));
            vec![Request::json("/transcribe", format!("{{\"audio\":\"UklGRg==\",\"prompt\":{prompt}}}"))]
        }
    }
}

fn keys(count: usize) -> String {
    let mut object = String::from("{");
    for key in 0..count {
        let _ = write!(object, "{}\"{key}\":0", if key > 0 { "," } else { "" });
    }
    object + "}"
}

fn list(one: &str, count: usize) -> String {
    let mut list = String::with_capacity(count * (one.len() + 1) + 2);
    list.push('[');
    for at in 0..count {
        if at > 0 {
            list.push(',');
        }
        list += one;
    }
    list + "]"
}

/// A schema in which each bracket of a reply doubles what it may be.
fn doubling(more: &str) -> String {
    let list = "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/a\"}";
    let of = format!("[{list},\"minItems\":1}},{list}}}{more}]");
    format!("{{\"$ref\":\"#/$defs/a\",\"$defs\":{{\"a\":{{\"anyOf\":{of}}}}}}}")
}

/// A schema of strings, all of which a reply may be for long.
fn strings(count: usize) -> String {
    let one = |most: usize| format!("{{\"type\":\"string\",\"maxLength\":{}}}", most + 9);
    format!("{{\"anyOf\":[{}]}}", (0..count).map(one).collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A PNG of zeros.
fn png(width: usize, height: usize, depth: u8, colour: u8) -> Vec<u8> {
    let channels = match colour {
        2 => 3,
        4 => 2,
        6 => 4,
        _ => 1,
    };
    let row = vec![0; 1 + (width * channels * usize::from(depth)).div_ceil(8)];
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..height {
        pixels.write_all(&row).unwrap();
    }
    let mut header = Vec::new();
    header.extend(u32::try_from(width).unwrap().to_be_bytes());
    header.extend(u32::try_from(height).unwrap().to_be_bytes());
    header.extend([depth, colour, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", pixels.finish().unwrap()), (b"IEND", Vec::new())] {
        file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        let mut crc = Crc::new();
        for part in [&kind[..], &data] {
            crc.update(part);
            file.extend(part);
        }
        file.extend(crc.sum().to_be_bytes());
    }
    file
}
