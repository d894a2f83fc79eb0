"""Reference for SmolLM2-135M-Instruct: the numbers the Rust code is tested against.

Nothing here is shared with the code under test. The GGUF is read by the `gguf` package, which also widens its weights to
float32; the tokenizer is GPT-2's byte-level BPE, written again from the tokens and merges in the file; the forward pass is
numpy in float32, without a cache; the chat template is run by Jinja itself.

    smollm2.py --gguf FILE --texts tokens.json --ids smollm2_tokens.json     ids of the texts of another golden file
    smollm2.py --gguf FILE --out smollm2.json                                a conversation, logits, replies, a perplexity

Tokenizer. The file says `pre = smollm`: each digit is a piece of its own, and what is between is cut by GPT-2's expression;
no space is put before a text. Text that spells a control token becomes it.

Output. `chat`: a conversation, the text the template makes of it, and its ids. `logits`: of a prompt, the numbers after its
last token for the eight likeliest tokens and for every 4096th. `replies`: greedy continuations of two tokens or more in which the likeliest
token leads by at least `margin` each time, so that rounding does not change them. `perplexity`: of a text, e to the mean of -ln p of
each token after the first.
"""

import argparse
import json
from functools import cache
from pathlib import Path

import gguf
import jinja2
import numpy as np
import regex

GPT2 = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
DIGIT = regex.compile(r"(\p{N})")

CHAT = [
    {"role": "system", "content": "You answer in one word."},
    {"role": "user", "content": "What is the chemical symbol of gold?\n\nThink  twice, it is 2024."},
    {"role": "assistant", "content": "Au"},
    {"role": "user", "content": "And of silver? Größe 東京 🙂"},
]
LOGITS = "The sky is blue because sunlight is scattered by the air."
PROMPTS = [
    "One, two, three, four, five,",
    "Monday, Tuesday, Wednesday,",
    "a b c d e f g h",
    "2, 4, 6, 8, 10, 12,",
    "January, February, March, April,",
    "10, 20, 30, 40, 50,",
    "A B C D E F G H I",
    "1, 2, 3, 4, 5, 6, 7,",
    "red green blue red green blue red green blue red",
    "The opposite of hot is cold. The opposite of big is small. The opposite of up is",
    "France: Paris. Italy: Rome. Germany: Berlin. Spain:",
    "To be, or not to be, that is the",
    "Once upon a",
    "def add(a, b):\n    return a +",
    '{"name": "Ada", "age": 36}\n{"name": "Bob", "age": 41}\n{"name": "Cyd",',
    "import numpy as",
    "Question: What is the capital of France?\nAnswer: The capital of France is",
    "ha ha ha ha ha ha ha ha",
    "<html><head><title>Page</title></head><body><p>Hello</p></body></",
    "http://www.",
]
REPLY = 8
LEAST = 2
MARGIN = 1.5
TEXT = """A function is a small program that somebody else's computer runs when it is called. It has no state that lasts: what it
learns in one call it may have forgotten in the next. It is paid for by the time it takes and by the memory it holds, and so it
is worth a good deal to start quickly and to stay small. A model of language is neither. It is large, it takes long to read
from the disk, and it must be read before the first word can be said. Whoever puts one into the other has to choose what to
keep and what to leave out."""


def byte_characters():
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {}, 0
    for byte in range(256):
        if byte in seen:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(256 + extra)
            extra += 1
    return table


class Tokenizer:
    def __init__(self, field):
        self.tokens = field("tokenizer.ggml.tokens")
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.ranks = {tuple(m.split(" ")): i for i, m in enumerate(field("tokenizer.ggml.merges"))}
        self.bytes = byte_characters()
        control = [t for t, kind in zip(self.tokens, field("tokenizer.ggml.token_type")) if kind == 3]
        control.sort(key=len, reverse=True)
        self.control = regex.compile("(" + "|".join(map(regex.escape, control)) + ")")

    def merge(self, piece):
        parts = [self.bytes[byte] for byte in piece.encode()]
        while len(parts) > 1:
            ranks = [self.ranks.get(pair, 1 << 60) for pair in zip(parts, parts[1:])]
            best = min(ranks)
            if best == 1 << 60:
                break
            at = ranks.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return [self.ids[part] for part in parts]

    def encode(self, text):
        ids = []
        for i, part in enumerate(self.control.split(text)):
            if i % 2:
                ids.append(self.ids[part])
                continue
            for run in DIGIT.split(part):
                for piece in GPT2.findall(run):
                    ids += self.merge(piece)
        return ids


class Model:
    def __init__(self, reader, field):
        number = lambda name: field("llama." + name)
        self.layers, self.heads = number("block_count"), number("attention.head_count")
        self.kv, self.base = number("attention.head_count_kv"), number("rope.freq_base")
        self.epsilon = number("attention.layer_norm_rms_epsilon")
        self.head = number("embedding_length") // self.heads
        self.raw = {tensor.name: tensor for tensor in reader.tensors}
        self.weight = cache(self.widen)

    def widen(self, name):
        tensor = self.raw[name]
        return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon) * self.weight(name + ".weight")

    def turn(self, x):
        """Turns neighbours (2i, 2i+1) of each head by position * base ** (-2i / head)."""
        count, half = x.shape[0], self.head // 2
        angle = np.arange(count)[:, None] * self.base ** (-2.0 * np.arange(half) / self.head)
        cos, sin = np.cos(angle)[:, None].astype(np.float32), np.sin(angle)[:, None].astype(np.float32)
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)

    def forward(self, ids):
        count = len(ids)
        x = self.weight("token_embd.weight")[ids]
        mask = np.triu(np.full((count, count), -np.inf, np.float32), 1)
        for layer in range(self.layers):
            name = f"blk.{layer}."
            product = lambda v, part: v @ self.weight(f"{name}{part}.weight").T
            h = self.norm(x, name + "attn_norm")
            q = self.turn(product(h, "attn_q").reshape(count, self.heads, self.head))
            k = self.turn(product(h, "attn_k").reshape(count, self.kv, self.head))
            v = product(h, "attn_v").reshape(count, self.kv, self.head)
            k, v = (np.repeat(t, self.heads // self.kv, 1) for t in (k, v))
            scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(np.float32(self.head)) + mask
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            scores /= scores.sum(-1, keepdims=True)
            mixed = np.einsum("hqk,khd->qhd", scores, v).reshape(count, -1)
            x = x + product(mixed, "attn_output")
            h = self.norm(x, name + "ffn_norm")
            gate = product(h, "ffn_gate")
            x = x + product(gate / (1 + np.exp(-gate)) * product(h, "ffn_up"), "ffn_down")
        return self.norm(x, "output_norm") @ self.weight("token_embd.weight").T


def rounded(number):
    return float(f"{number:.7g}")


def main():
    arguments = argparse.ArgumentParser()
    for name in ["--gguf", "--texts", "--ids", "--out"]:
        arguments.add_argument(name, type=Path)
    arguments = arguments.parse_args()
    reader = gguf.GGUFReader(arguments.gguf)
    field = lambda name: reader.fields[name].contents()
    tokenizer = Tokenizer(field)
    if arguments.texts:
        texts = [case["text"] for case in json.loads(arguments.texts.read_text("utf-8"))["cases"]]
        lines = ",\n".join(json.dumps(tokenizer.encode(text), separators=(",", ":")) for text in texts)
        arguments.ids.write_text("[\n" + lines + "\n]\n")
    if not arguments.out:
        return
    model = Model(reader, field)
    jinja = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    template = jinja.from_string(field("tokenizer.chat_template"))
    text = template.render(messages=CHAT, add_generation_prompt=True)
    golden = {"chat": {"messages": CHAT, "text": text, "ids": tokenizer.encode(text)}}

    logits = model.forward(tokenizer.encode(LOGITS))[-1]
    tokens = sorted({*np.argsort(-logits)[:8].tolist(), *range(0, len(logits), 4096)})
    golden["logits"] = {"prompt": LOGITS, "tokens": tokens, "logits": [rounded(logits[t]) for t in tokens]}

    golden["replies"] = []
    for prompt in PROMPTS:
        ids, reply, margin = tokenizer.encode(prompt), [], np.inf
        for _ in range(REPLY):
            best = np.sort(logits := model.forward(ids + reply)[-1])[-2:]
            # What ends the reply is no word of it.
            if best[1] - best[0] < MARGIN or logits.argmax() <= 16:
                break
            margin = min(margin, best[1] - best[0])
            reply.append(int(logits.argmax()))
        print(repr(prompt), repr("".join(tokenizer.tokens[t] for t in reply)), margin)
        if len(reply) >= LEAST:
            golden["replies"].append({"prompt": prompt, "ids": reply, "margin": rounded(margin)})

    ids = tokenizer.encode(TEXT.replace("\n", " "))
    logits = model.forward(ids)[:-1].astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    surprise = np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(ids) - 1), ids[1:]]
    value = rounded(np.exp(surprise.mean()))
    golden["perplexity"] = {"text": TEXT.replace("\n", " "), "tokens": len(ids), "value": value}
    print("perplexity", value, "of", len(ids), "tokens")
    arguments.out.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", "utf-8")


main()
