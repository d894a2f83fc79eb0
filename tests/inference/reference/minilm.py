"""Reference for all-MiniLM-L6-v2: the numbers the Rust code is tested against.

Nothing here is shared with the code under test. The tokenizer is BERT's, written again from vocab.txt with
`unicodedata`; the forward pass is numpy on weights read straight from model.safetensors, one sentence at a time
and without padding.

    minilm.py --model-dir DIR --out minilm.json                          ids and embeddings of sentences.json
    minilm.py --model-dir DIR --out tokens.json --tokens 300 --seed 7    ids of 300 synthesised strings

DIR holds model.safetensors, config.json, vocab.txt, tokenizer_config.json, sentence_bert_config.json and
1_Pooling/config.json. (tokenizer.json is not read, which is the point.)

Precision. The weights are float32 and widen to float64 exactly; all arithmetic is float64. Its own error, below
1e-15, is far below the 1e-7 of a float32 forward, so a difference from the golden values is the error of the code
under test and not partly ours. Values are written with 8 significant digits.

Tokenizer. Text that spells a special token, such as "[SEP]", becomes that token: tokenizer.json declares all five
so. Elsewhere this is BERT's BasicTokenizer and WordPiece, and where published versions of BERT's disagree with one
another it does what the model's tokenizer.json does:
  - a capital sigma at the end of a word lower-cases to U+03C3, letter by letter, never to the final form U+03C2;
  - private-use characters are removed like control characters, unassigned ones are kept.
One difference is left standing: tokenizers 0.23 begins a block of Chinese characters at U+2B920 for U+2B820. The
Unicode tables are those of the Python that runs this. Golden texts keep to characters that every table agrees on.

Embedding. The mean of the last layer over all tokens, [CLS] and [SEP] included, then divided by its length. `norm`
is that length, so embedding * norm is the vector before normalisation.

Output. A case has its `text`, the `ids` with [CLS] and [SEP], the `length` there was before cutting to max_length,
and `truncated`; among synthesised strings `special` marks those that spell a special token.
"""

import argparse
import hashlib
import json
import math
import random
import re
import string
import sys
import unicodedata
from pathlib import Path

import numpy as np

MODEL = "all-MiniLM-L6-v2"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MAX_WORD = 100  # a longer word, in characters, is [UNK]

# The blocks BERT takes for Chinese. Kana and Hangul are not among them.
CJK = [
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
]  # fmt: skip


# Tokenizer


def is_control(c):
    return c not in "\t\n\r" and unicodedata.category(c) in ("Cc", "Cf", "Co")


def is_punctuation(c):
    # ASCII symbols count, though Unicode files "$" or "+" elsewhere.
    return c in string.punctuation or unicodedata.category(c).startswith("P")


def clean(text):
    """Drops control characters, turns every space into U+0020 and sets Chinese characters apart."""
    out = []
    for c in text:
        if c == "\ufffd" or is_control(c):
            continue
        if c in "\t\n\r" or unicodedata.category(c) == "Zs":
            out.append(" ")
        elif any(low <= ord(c) <= high for low, high in CJK):
            out.append(f" {c} ")
        else:
            out.append(c)
    return "".join(out)


def strip_accents(text):
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


class Tokenizer:
    def __init__(self, model_dir):
        settings = json.loads((model_dir / "tokenizer_config.json").read_text("utf-8"))
        # Accents go with the case unless the settings say otherwise.
        uncased = settings["do_lower_case"] and settings["strip_accents"] in (None, True)
        check(uncased and settings["tokenize_chinese_chars"], "tokenizer_config.json is not the uncased one")
        self.limit = json.loads((model_dir / "sentence_bert_config.json").read_text("utf-8"))["max_seq_length"]
        words = (model_dir / "vocab.txt").read_text("utf-8").splitlines()
        self.vocab = {word: i for i, word in enumerate(words)}
        check(len(self.vocab) == len(words), "vocab.txt repeats an entry")
        self.special = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")

    def words(self, text):
        for word in clean(text).split():
            word = strip_accents("".join(c.lower() for c in word))
            start = 0
            for i, c in enumerate(word):
                if is_punctuation(c):
                    if start < i:
                        yield word[start:i]
                    yield c
                    start = i + 1
            if start < len(word):
                yield word[start:]

    def pieces(self, word):
        """The longest match first, from the left; [UNK] for the whole word as soon as something fits nothing."""
        if len(word) > MAX_WORD:
            return [self.vocab["[UNK]"]]
        ids, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                piece = self.vocab.get(prefix + word[start:end])
                if piece is not None:
                    break
            else:
                return [self.vocab["[UNK]"]]
            ids.append(piece)
            start = end
        return ids

    def encode(self, text):
        """Returns the ids cut to the limit, and how many there were before."""
        ids = []
        for i, part in enumerate(self.special.split(text)):
            if i % 2:
                ids.append(self.vocab[part])
            else:
                for word in self.words(part):
                    ids += self.pieces(word)
        length = len(ids) + 2
        return [self.vocab["[CLS]"], *ids[: self.limit - 2], self.vocab["[SEP]"]], length


# Model


def read_safetensors(path):
    """Eight bytes of header length, a JSON header, then the data."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    tensors = {}
    for name, entry in json.loads(raw[8:start]).items():
        dtype = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}.get(entry.get("dtype"))
        if dtype:  # position_ids are integers, and `__metadata__` is no tensor
            low, high = entry["data_offsets"]
            data = np.frombuffer(raw[start + low : start + high], dtype).reshape(entry["shape"])
            tensors[name.removeprefix("bert.")] = data.astype(np.float64)
    return tensors, hashlib.sha256(raw).hexdigest()


erf = np.frompyfunc(math.erf, 1, 1)


def gelu(x):
    return 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)).astype(np.float64))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class Bert:
    def __init__(self, model_dir):
        self.config = json.loads((model_dir / "config.json").read_text("utf-8"))
        check(self.config["hidden_act"] == "gelu", "hidden_act is not the erf form of GELU")
        check(self.config.get("position_embedding_type", "absolute") == "absolute", "positions are not absolute")
        pooling = json.loads((model_dir / "1_Pooling" / "config.json").read_text("utf-8"))
        modes = [mode for mode, on in pooling.items() if mode.startswith("pooling_mode") and on]
        check(modes == ["pooling_mode_mean_tokens"], f"pooling is {modes}, not the mean")
        self.weights, self.sha256 = read_safetensors(model_dir / "model.safetensors")

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def layer_norm(self, x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / deviation * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def attention(self, x, name):
        heads = self.config["num_attention_heads"]
        q, k, v = (
            self.linear(x, f"{name}.{part}").reshape(len(x), heads, -1).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = softmax(q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1]))
        return (scores @ v).swapaxes(0, 1).reshape(len(x), -1)

    def forward(self, ids):
        embeddings = self.weights["embeddings.word_embeddings.weight"][ids]
        embeddings = embeddings + self.weights["embeddings.position_embeddings.weight"][: len(ids)]
        embeddings = embeddings + self.weights["embeddings.token_type_embeddings.weight"][0]
        x = self.layer_norm(embeddings, "embeddings.LayerNorm")
        for i in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{i}"
            y = self.linear(self.attention(x, f"{layer}.attention.self"), f"{layer}.attention.output.dense")
            x = self.layer_norm(x + y, f"{layer}.attention.output.LayerNorm")
            y = self.linear(gelu(self.linear(x, f"{layer}.intermediate.dense")), f"{layer}.output.dense")
            x = self.layer_norm(x + y, f"{layer}.output.LayerNorm")
        return x

    def embed(self, ids):
        """Returns the normalised embedding and the length it had before."""
        mean = self.forward(ids).mean(axis=0)
        norm = math.sqrt((mean**2).sum())
        return mean / norm, norm


# Synthesised text

WORDS = """
    the function answers quickly Rust's DON'T re-embedding naïve café Straße GRÜSSE ÄÖÜ Übergröße façade cœur Noël
    Ångström smørrebrød İstanbul ılık Đà Nẵng Tiếng Việt příliš žluťoučký łódź Ελλάδα ΟΔΥΣΣΕΥΣ λόγος ΐ ᾧ привет МОСКВА
    ёжик й Київ հայ საქართველო שלום שָׁלוֹם مرحبا العَرَبِيَّة ٱلسَّلَامُ ۱۲۳ नमस्ते हिन्दी क्षेत्र বাংলা தமிழ் ภาษาไทย ที่นี่ 你好 世界 計算機 東京
    がぎぐ パソコン ｶﾞｷﾞ ひらがな カタカナ 한국어 안녕하세요 函数 ＦＵＬＬ ｗｉｄｔｈ ﬁre ﬄ 𝒜𝓁𝓅𝒽𝒶 ① Ⅷ ½ x² H₂O № ™ €5 £9.99 ¥100 50% 3.14159 1,000,000
    2026-11-22 12:30:05 0xFF foo_bar fn(x) => {x+1} &mut self; a->b "quoted" 'single' “curly” ‘q’ «guillemets» „tief“ …
    — – ¿Qué? ¡Sí! user@host C++ C# $HOME ~/.rc #tag <b>bold</b> a/b\\c [sep] [Cls] [UNK [ MASK ] ; `
    e\u0301 o\u0308\u0323 A\u030a \u0301lone क\u093c ｡ 、 。 「引用」 ・ ～ ¦ § ¶ † ‡ • ′ ″ ‰ ‱ ∀x∈ℝ ∑ ≤ √2 ∞ Ω Å K 😀 🎉🎉 🚀 👍🏽 👩\u200d💻
    🏳️\u200d🌈 ❤️ ✨ ☃ 🇬🇷 ♻︎
""".split()
GAPS = [" "] * 12 + ["", "", "", "\t", "\n", "\r\n", "  ", "\u00a0", "\u3000", "\u2003", "\u2028", "\u200b", "\u00ad"]
ODD = [
    "\0", "\x07", "\x1b", "\x7f", "\x85", "\x0b", "\ufffd", "\ufeff", "\u200d", "\u200e", "\u202e", "\u2060", "\ue000",
]  # fmt: skip
# Assigned since Unicode 3.2, whose table Python keeps, so that newer tables draw the same characters.
RANGES = [
    (0x21, 0x7E), (0x21, 0x7E), (0xA1, 0x24F), (0x250, 0x2AF), (0x300, 0x345), (0x370, 0x3F5), (0x400, 0x4FF),
    (0x531, 0x587), (0x5B0, 0x5F4), (0x60C, 0x6D5), (0x905, 0x94D), (0x985, 0x9CD), (0xB85, 0xBCD), (0xE01, 0xE5B),
    (0x10D0, 0x10F6), (0x1100, 0x11F9), (0x1E00, 0x1EF9), (0x1F00, 0x1FFE), (0x2010, 0x2027), (0x2030, 0x2052),
    (0x2070, 0x208E), (0x20A0, 0x20B1), (0x2100, 0x214B), (0x2190, 0x23CE), (0x2500, 0x27BE), (0x3001, 0x301F),
    (0x3041, 0x30FE), (0x3400, 0x4DB5), (0x4E00, 0x9FA5), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xF900, 0xFA2D),
    (0xFB00, 0xFB06), (0xFE30, 0xFE6B), (0xFF01, 0xFFEE), (0x1D400, 0x1D7FF), (0x20000, 0x2A6D6), (0x2F800, 0x2FA1D),
]  # fmt: skip


class Source:
    """Draws from random() alone: it is the one method Python promises not to change for a given seed."""

    def __init__(self, seed, vocab):
        self.random = random.Random(seed).random
        self.vocab = [word.removeprefix("##") for word in vocab if not word.startswith("[")]

    def below(self, n):
        return int(self.random() * n)

    def pick(self, items):
        return items[self.below(len(items))]

    def character(self, low, high):
        while True:
            c = chr(low + self.below(high - low + 1))
            if unicodedata.ucd_3_2_0.category(c) != "Cn":
                return c

    def known(self):
        """Entries of the vocabulary glued together: anything normalised wrongly shows, where [UNK] would hide it."""
        word = "".join(self.pick(self.vocab) for _ in range(1 + self.below(3)))
        if self.below(3) == 0:
            word = word.upper()
        if self.below(4) == 0:
            at = 1 + self.below(len(word))
            word = word[:at] + self.pick(["\u0301", "\u0308", "\u200d", "\u00ad"]) + word[at:]
        return unicodedata.normalize("NFC", word) if self.below(2) else word

    def piece(self):
        kind = self.random()
        if kind < 0.30:
            return self.pick(WORDS)
        if kind < 0.65:
            return self.known()
        if kind < 0.82:
            low, high = self.pick(RANGES)
            return "".join(self.character(low, high) for _ in range(1 + self.below(6)))
        if kind < 0.90:
            return "".join(self.character(*self.pick(RANGES)) for _ in range(1 + self.below(4)))
        if kind < 0.96:
            return self.pick(WORDS).swapcase() + self.pick(ODD) + self.pick(WORDS)
        if kind < 0.98:
            return self.pick(["a", "Ä", "9", "я", "क"]) * (95 + self.below(12))  # around MAX_WORD
        return self.pick(SPECIAL)

    def text(self):
        # Mostly short; one in twenty-five long enough to be cut.
        count = 60 + self.below(120) if self.random() < 0.04 else 1 + self.below(13)
        return "".join(self.piece() + self.pick(GAPS) for _ in range(count))


# Output


def check(condition, message):
    if not condition:
        sys.exit(f"minilm.py: {message}")


def write(path, head, cases):
    """One case a line, in ASCII, so that no control or right-to-left character hides in the file."""
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = json.dumps(head, separators=(",", ":"))
    path.write_text(f'{head[:-1]},"cases":[\n{lines}\n]}}\n', "utf-8")


def token_cases(tokenizer, count, seed):
    source = Source(seed, tokenizer.vocab)
    for _ in range(count):
        text = source.text()
        ids, length = tokenizer.encode(text)
        spelled = bool(tokenizer.special.search(text))
        yield {"text": text, "special": spelled, "length": length, "truncated": length > len(ids), "ids": ids}


def embedding_cases(tokenizer, model, sentences):
    for sentence in sentences:
        ids, length = tokenizer.encode(sentence["text"])
        wanted = sentence.get("length", length)
        check(length == wanted, f'{sentence["name"]} should have {wanted} tokens and has {length}')
        embedding, norm = model.embed(ids)
        yield {
            "name": sentence["name"],
            "text": sentence["text"],
            "length": length,
            "truncated": length > len(ids),
            "ids": ids,
            "norm": float(f"{norm:.8g}"),
            "embedding": [float(f"{x:.8g}") for x in embedding],
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-dir", type=Path, required=True, metavar="DIR", help="folder of the model's files")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON file to write")
    parser.add_argument(
        "--sentences",
        type=Path,
        metavar="FILE",
        default=Path(__file__).with_name("sentences.json"),
        help="texts to embed: a list of {name, text} and, where it must hold, length (default: beside the script)",
    )
    parser.add_argument("--tokens", type=int, metavar="N", help="instead, write the ids of N synthesised strings")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="seed of those strings (default: 7)")
    args = parser.parse_args()

    tokenizer = Tokenizer(args.model_dir)
    tables = f"unicodedata {unicodedata.unidata_version}"
    head = {"model": MODEL, "max_length": tokenizer.limit}
    if args.tokens is not None:
        head["generator"] = f"minilm.py --tokens {args.tokens} --seed {args.seed}, {tables}"
        head["vocab_sha256"] = hashlib.sha256((args.model_dir / "vocab.txt").read_bytes()).hexdigest()
        cases = list(token_cases(tokenizer, args.tokens, args.seed))
    else:
        model = Bert(args.model_dir)
        head["generator"] = f"minilm.py, numpy {np.__version__} in float64, {tables}"
        head["weights_sha256"] = model.sha256
        sentences = json.loads(args.sentences.read_text("utf-8"))
        cases = list(embedding_cases(tokenizer, model, sentences))
    head["total_tokens"] = sum(len(case["ids"]) for case in cases)
    write(args.out, head, cases)

    for i, case in enumerate(cases):
        if case["truncated"]:
            print(f'{case.get("name", i)}: {case["length"]} tokens, cut to {len(case["ids"])}', file=sys.stderr)
    print(f'{len(cases)} cases, {head["total_tokens"]} tokens after cutting', file=sys.stderr)


if __name__ == "__main__":
    main()
