"""Small seeded checkpoints of the Qwen 2 and Qwen 3 architectures, and the numbers that follow from them.

No published weights of these are within a package registry's reach, so the graph is proven on random ones. Nothing here is shared
with the code under test: the files are written by the `gguf` package, the forward pass is numpy in float64, without a cache.

    qwen.py --checkpoints tests/inference/checkpoints --out tests/inference/golden/qwen.json

Qwen 2 has biases on queries, keys and values and shares its table with the head; Qwen 3 has a norm over each head's queries and
keys, heads that are not the width divided by their number, and a head of its own. Both turn the halves of a head against each
other. The vocabulary is every byte and one merge. Each is written in f32 and with its matrices in blocks of eight bits (Q8_0), whose
reference computes with the numbers that the blocks stand for.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize, quantize

Q8_0 = gguf.GGMLQuantizationType.Q8_0
WIDTH, LAYERS, HEADS, KV, FORWARD, BASE, EPSILON = 32, 2, 4, 2, 64, 1e6, 1e-6
PROMPT = "What the heck is 7 times 8? Größe 東京"


def byte_characters():
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + at) for at, byte in enumerate(rest)}


SPELLED = byte_characters()
TOKENS = ["<|end|>", *(SPELLED[byte] for byte in range(256)), "he"]


def encode(text):
    ids, at, data = [], 0, text.encode()
    while at < len(data):
        merged = data[at : at + 2] == b"he"
        ids.append(TOKENS.index("he") if merged else 1 + data[at])
        at += 2 if merged else 1
    return ids


class Model:
    def __init__(self, kind, blocks=False):
        self.blocks, self.kind, self.head = blocks, kind, WIDTH // HEADS if kind == "qwen2" else 16
        random = np.random.default_rng({"qwen2": 2, "qwen3": 3}[kind])
        weight = lambda *shape: (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        gain = lambda size: (1 + 0.1 * random.standard_normal(size)).astype(np.float32)
        self.tensors = {"token_embd.weight": weight(len(TOKENS), WIDTH) * 4, "output_norm.weight": gain(WIDTH)}
        for layer in range(LAYERS):
            put = lambda name, value: self.tensors.__setitem__(f"blk.{layer}.{name}", value)
            put("attn_norm.weight", gain(WIDTH)), put("ffn_norm.weight", gain(WIDTH))
            for part, heads in [("q", HEADS), ("k", KV), ("v", KV)]:
                put(f"attn_{part}.weight", weight(heads * self.head, WIDTH) * 2)
                if kind == "qwen2":
                    put(f"attn_{part}.bias", weight(heads * self.head))
            if kind == "qwen3":
                put("attn_q_norm.weight", gain(self.head)), put("attn_k_norm.weight", gain(self.head))
            put("attn_output.weight", weight(WIDTH, HEADS * self.head))
            put("ffn_gate.weight", weight(FORWARD, WIDTH)), put("ffn_up.weight", weight(FORWARD, WIDTH))
            put("ffn_down.weight", weight(WIDTH, FORWARD))
        if kind == "qwen3":
            self.tensors["output.weight"] = weight(len(TOKENS), WIDTH)
        self.packed = {}
        for name, value in self.tensors.items():
            if blocks and value.ndim == 2:
                self.packed[name] = quantize(value, Q8_0)
                self.tensors[name] = dequantize(self.packed[name], Q8_0)

    def write(self, path):
        writer = gguf.GGUFWriter(path, self.kind)
        writer.add_block_count(LAYERS), writer.add_context_length(512), writer.add_embedding_length(WIDTH)
        writer.add_feed_forward_length(FORWARD), writer.add_head_count(HEADS), writer.add_head_count_kv(KV)
        writer.add_layer_norm_rms_eps(EPSILON), writer.add_rope_freq_base(BASE)
        if self.kind == "qwen3":
            writer.add_key_length(self.head), writer.add_value_length(self.head)
        writer.add_tokenizer_model("gpt2"), writer.add_tokenizer_pre("qwen2"), writer.add_token_list(TOKENS)
        writer.add_token_types([3] + [1] * (len(TOKENS) - 1)), writer.add_token_merges(["h e"]), writer.add_eos_token_id(0)
        for name, value in self.tensors.items():
            if name in self.packed:
                writer.add_tensor(name, self.packed[name], raw_dtype=Q8_0)
            else:
                writer.add_tensor(name, value)
        writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON) * self.tensors[name].astype(np.float64)

    def turn(self, x):
        half = self.head // 2
        angle = np.arange(x.shape[0])[:, None] * BASE ** (-2.0 * np.arange(half) / self.head)
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        first, second = x[..., :half], x[..., half:]
        return np.concatenate([first * cos - second * sin, first * sin + second * cos], -1)

    def forward(self, ids):
        x = self.tensors["token_embd.weight"].astype(np.float64)[ids]
        mask = np.triu(np.full((len(ids), len(ids)), -np.inf), 1)
        for layer in range(LAYERS):
            name = f"blk.{layer}."
            product = lambda v, part: v @ self.tensors[f"{name}{part}.weight"].T.astype(np.float64)
            h = self.norm(x, name + "attn_norm.weight")
            parts = {}
            for part, heads in [("q", HEADS), ("k", KV), ("v", KV)]:
                value = product(h, "attn_" + part) + self.tensors.get(f"{name}attn_{part}.bias", 0)
                value = value.reshape(len(ids), heads, self.head)
                if part != "v":
                    if self.kind == "qwen3":
                        value = self.norm(value, f"{name}attn_{part}_norm.weight")
                    value = self.turn(value)
                parts[part] = np.repeat(value, HEADS // heads, 1)
            scores = np.einsum("qhd,khd->hqk", parts["q"], parts["k"]) / np.sqrt(self.head) + mask
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = np.einsum("hqk,khd->qhd", scores / scores.sum(-1, keepdims=True), parts["v"])
            x = x + product(mixed.reshape(len(ids), -1), "attn_output")
            h = self.norm(x, name + "ffn_norm.weight")
            gate = product(h, "ffn_gate")
            x = x + product(gate / (1 + np.exp(-gate)) * product(h, "ffn_up"), "ffn_down")
        head = self.tensors.get("output.weight", self.tensors["token_embd.weight"])
        return self.norm(x, "output_norm.weight") @ head.T.astype(np.float64)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--checkpoints", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    arguments = arguments.parse_args()
    golden, ids = {"prompt": PROMPT, "ids": encode(PROMPT)}, encode(PROMPT)
    for kind, blocks in [("qwen2", False), ("qwen3", False), ("qwen2", True), ("qwen3", True)]:
        name = kind + ("-q8_0" if blocks else "")
        folder = arguments.checkpoints / name
        folder.mkdir(exist_ok=True)
        model = Model(kind, blocks)
        model.write(folder / "model.gguf")
        golden[name] = [float(f"{number:.7g}") for number in model.forward(ids)[-1]]
    arguments.out.write_text(json.dumps(golden, ensure_ascii=False) + "\n", "utf-8")


main()
