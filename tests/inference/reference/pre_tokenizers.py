"""How llama.cpp cuts texts whose GGUF has `tokenizer.ggml.pre = default`: a small vocabulary, and the ids of texts.

llama.cpp itself computes the ids, in the server of the PyPI package xllamacpp, which has it built for any Linux. A server wants a whole
model, so it is given one of zeros that has the vocabulary.

    pre_tokenizers.py --texts ../golden/tokens.json --gguf ../golden/default_pre.gguf --ids ../golden/default_pre.json

The vocabulary is every byte and merges that were learned from the texts without cutting them first. So there are merges across each
place where a text may be cut, and a piece that is cut elsewhere has other ids.
"""

import argparse
import json
import tempfile
import urllib.request
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

MERGES = 1200
EVERY = 5
MORE = [
    "don't can't I'll we've they're it's I'm he'd O'Neil's rock'n'roll 'tis",
    "DON'T I'LL",
    "1 12 123 1234 12345 123456 1234567 a1b22c333d4444 3.14159 1,000,000 2026-12-01T16:04:39Z",
    "٣٤٥٦ ¼½¾ ²³¹ Ⅷ 一二三 ５６７８ 12٣٤56",
    "a=b+c*d^e~f|g<h>i$j%k&l@m#n!o?p/q\\r_s-t",
    "$5.00 + €6,50 <= £7 ~= ¥8 || ^2",
    "f(x){return x<<2>>1;} // --> <!-- ==> ... !!! ??",
    "  two   three    four \t tab\n\n\nlines \r\n end   ",
    " \n \n",
    "x \u00a0\u00a0 y\u3000\u3000z\u2028w\u200bv",
    "Größe, naïve «guillemets» „quotes“ … — – ‐ ‘x’",
    "東京、大阪。「引用」 こんにちは！　𝒳𝒴 🙂🙃 👩‍👩‍👧 e\u0301e\u0301",
    "привет, мир! мир'с",
    "\u0378\u0379 \ue000\ue001 \x00\x01\x7f \ufffd\ufeff",
    "don’t",
    "",
]


def byte_characters():
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + at) for at, byte in enumerate(rest)}


def learn(texts):
    """Merges of the pairs that are the most frequent, the first in order where several are."""
    spelled = byte_characters()
    words = [[spelled[byte] for byte in text.encode()] for text in texts]
    merges = []
    while len(merges) < MERGES:
        counts = {}
        for word in words:
            for pair in zip(word, word[1:]):
                counts[pair] = counts.get(pair, 0) + 1
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        for word in words:
            at = 0
            while at + 1 < len(word):
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = [word[at] + word[at + 1]]
                at += 1
    return list(spelled.values()), merges


WIDTH = 32


def write(path, characters, merges, tensors):
    tokens = list(dict.fromkeys(["<|end|>", *characters, *(left + right for left, right in merges)]))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2"), writer.add_tokenizer_pre("default"), writer.add_token_list(tokens)
    writer.add_token_types([3] + [1] * (len(tokens) - 1)), writer.add_eos_token_id(0)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    if tensors:
        writer.add_block_count(1), writer.add_context_length(512), writer.add_embedding_length(WIDTH)
        writer.add_feed_forward_length(WIDTH), writer.add_head_count(1), writer.add_layer_norm_rms_eps(1e-6)
        add = lambda name, *shape: writer.add_tensor(name + ".weight", np.zeros(shape, np.float32))
        add("token_embd", len(tokens), WIDTH), add("output_norm", WIDTH)
        add("blk.0.attn_norm", WIDTH), add("blk.0.ffn_norm", WIDTH)
        for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]:
            add("blk.0." + name, WIDTH, WIDTH)
    writer.write_header_to_file(), writer.write_kv_data_to_file()
    if tensors:
        writer.write_tensors_to_file()
    writer.close()


def encode(path, texts):
    settings = xllamacpp.CommonParams()
    settings.model.path, settings.n_ctx, settings.warmup = str(path), 512, False
    server = xllamacpp.Server(settings)
    for text in texts:
        body = json.dumps({"content": text, "add_special": False, "parse_special": False}).encode()
        request = urllib.request.Request(server.listening_address + "/tokenize", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            yield json.load(reply)["tokens"]


def main():
    arguments = argparse.ArgumentParser()
    for name in ["--texts", "--gguf", "--ids"]:
        arguments.add_argument(name, type=Path, required=True)
    arguments = arguments.parse_args()
    texts = [case["text"] for case in json.loads(arguments.texts.read_text("utf-8"))["cases"]][::EVERY] + MORE
    vocabulary = learn(texts)
    write(arguments.gguf, *vocabulary, tensors=False)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "model.gguf", *vocabulary, tensors=True)
        cases = [{"text": text, "ids": ids} for text, ids in zip(texts, encode(Path(folder) / "model.gguf", texts))]
    lines = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases)
    arguments.ids.write_text("[\n" + lines + "\n]\n", "utf-8")


main()
