"""Silero VAD and Whisper tiny.en in numpy, from the files to the numbers: speech.py SILERO WHISPER_FOLDER > golden/speech.json

Needs numpy alone. Nothing of it is shared with the Rust code: safetensors and CTranslate2's model.bin are read here by hand, the
bands of pitch are computed from Slaney's formulas, the transform is numpy's, and the decoder runs the whole prefix at once. With
`--check` (needs ctranslate2 and faster-whisper, and vocabulary.txt in the folder) it says on stderr how far those are from it.

The sound is a formula, of which no decoder has a part: three tones whose loudness comes and goes, and a little noise.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

RATE = 16_000


def sound(seconds=4):
    t = np.arange(seconds * RATE) / RATE
    tones = sum(np.sin(2 * np.pi * hertz * t + hertz) for hertz in (130.0, 620.0, 1710.0))
    loud = np.maximum(0, np.sin(2 * np.pi * 1.3 * t)) * np.maximum(0, np.sin(2 * np.pi * 0.21 * t))
    index = np.arange(seconds * RATE, dtype=np.uint64)
    noise = (index * np.uint64(2654435761) % np.uint64(1 << 32)).astype(np.float64) / 2**31 - 1
    return (0.12 * tones * loud + 0.003 * noise).astype(np.float32)


def safetensors(path):
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    return {
        name: np.frombuffer(body[slice(*about["data_offsets"])], "<f4").reshape(about["shape"]).astype(np.float64)
        for name, about in head.items()
        if name != "__metadata__"
    }


def ctranslate2(path):
    data, at = Path(path).read_bytes(), 0

    def number(form):
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize(form)
        return value

    def text():
        nonlocal at
        length = number("H")
        at += length
        return data[at - length : at - 1].decode()

    number("I"), text(), number("I")
    tensors = {}
    for _ in range(number("I")):
        name, sides = text(), number("B")
        shape, kind = [number("I") for _ in range(sides)], number("B")
        length = number("I")
        form = {0: "<f4", 1: "i1", 2: "<i2", 4: "<f2"}[kind]
        tensors[name] = np.frombuffer(data[at : at + length], form).reshape(shape).astype(np.float64)
        at += length
    return tensors


sigmoid = lambda x: 1 / (1 + np.exp(-x))


def convolve(x, weights, bias, stride):
    """x is [channels, frames]; a frame of zeros at either end."""
    x = np.pad(x, ((0, 0), (1, 1)))
    frames = range(0, x.shape[1] - 2, stride)
    return np.stack([np.einsum("oct,ct->o", weights, x[:, f : f + 3]) for f in frames], 1) + bias[:, None]


def silero(w, samples):
    samples = np.concatenate([np.zeros(64), samples, np.zeros(-len(samples) % 512)])
    h, c, out = np.zeros(128), np.zeros(128), []
    for start in range(64, len(samples), 512):
        x = np.pad(samples[start - 64 : start + 512], (0, 64), "reflect")
        x = np.stack([w["stft_conv.weight"][:, 0] @ x[f : f + 256] for f in range(0, 385, 128)], 1)
        x = np.sqrt(x[:129] ** 2 + x[129:] ** 2)
        for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
            x = np.maximum(convolve(x, w[name + ".weight"], w[name + ".bias"], stride), 0)
        gates = w["lstm_cell.weight_ih"] @ x[:, 0] + w["lstm_cell.bias_ih"]
        gates = gates + w["lstm_cell.weight_hh"] @ h + w["lstm_cell.bias_hh"]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(sigmoid(w["final_conv.weight"][0, :, 0] @ np.maximum(h, 0) + w["final_conv.bias"][0]))
    return np.array(out)


def bands():
    """Slaney's mel scale: even to 1000 Hz, then 27 steps to each factor of 6.4; triangles of area 1."""
    to_hertz = lambda m: np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))
    top = 15 + np.log(8) / (np.log(6.4) / 27)
    edges = to_hertz(np.linspace(0, top, 82))
    hertz = np.linspace(0, 8000, 201)
    up = (hertz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - hertz) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(up, down)) * (2 / (edges[2:] - edges[:-2]))[:, None]


def mel(samples):
    padded = np.pad(np.concatenate([samples, np.zeros(30 * RATE - len(samples))]), 200, "reflect")
    fade = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([padded[f * 160 : f * 160 + 400] * fade for f in range(3000)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    logs = np.log10(np.maximum(bands() @ power.T, 1e-10))
    return (np.maximum(logs, logs.max() - 8) + 4) / 4


def gelu(x):
    # erf to 1e-9 by its series and, far out, its bound; numpy has none.
    z = np.abs(x) / np.sqrt(2)
    t = np.minimum(z, 5)
    total, term = np.zeros_like(t), t.copy()
    for n in range(90):
        total += term / (2 * n + 1)
        term = -term * t * t / (n + 1)
    erf = np.where(z >= 5, 1.0, total * 2 / np.sqrt(np.pi))
    return x * 0.5 * (1 + np.sign(x) * erf)


class Whisper:
    def __init__(self, folder):
        self.w = ctranslate2(Path(folder) / "model.bin")

    def linear(self, x, name):
        return x @ self.w[name + "/weight"].T + self.w[name + "/bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)
        return x * self.w[name + "/gamma"] + self.w[name + "/beta"]

    def attend(self, q, k, v, causal=False):
        split = lambda x: x.reshape(len(x), -1, 64).transpose(1, 0, 2)
        scores = split(q) @ split(k).transpose(0, 2, 1) / 8
        if causal:
            scores = scores + np.triu(np.full(scores.shape[1:], -np.inf), 1)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        return (scores @ split(v)).transpose(1, 0, 2).reshape(len(q), -1)

    def layer(self, x, name, sound=None):
        part = name + "/self_attention"
        q, k, v = np.split(self.linear(self.norm(x, part + "/layer_norm"), part + "/linear_0"), 3, -1)
        x = x + self.linear(self.attend(q, k, v, sound is not None), part + "/linear_1")
        if sound is not None:
            part = name + "/attention"
            q = self.linear(self.norm(x, part + "/layer_norm"), part + "/linear_0")
            k, v = np.split(self.linear(sound, part + "/linear_1"), 2, -1)
            x = x + self.linear(self.attend(q, k, v), part + "/linear_2")
        part = name + "/ffn"
        wide = gelu(self.linear(self.norm(x, part + "/layer_norm"), part + "/linear_0"))
        return x + self.linear(wide, part + "/linear_1")

    def encode(self, features):
        x = gelu(convolve(features, self.w["encoder/conv1/weight"], self.w["encoder/conv1/bias"], 1))
        x = gelu(convolve(x, self.w["encoder/conv2/weight"], self.w["encoder/conv2/bias"], 2)).T
        x = x + self.w["encoder/position_encodings/encodings"]
        for index in range(4):
            x = self.layer(x, f"encoder/layer_{index}")
        return self.norm(x, "encoder/layer_norm")

    def logits(self, sound, tokens):
        x = self.w["decoder/embeddings/weight"][tokens] + self.w["decoder/position_encodings/encodings"][: len(tokens)]
        for index in range(4):
            x = self.layer(x, f"decoder/layer_{index}", sound)
        return self.norm(x[-1], "decoder/layer_norm") @ self.w["decoder/embeddings/weight"].T


def check(folder, samples, features, encoded):
    import ctranslate2 as ct
    from faster_whisper.feature_extractor import FeatureExtractor

    padded = np.concatenate([samples, np.zeros(30 * RATE - len(samples), np.float32)])
    theirs = FeatureExtractor()(padded, padding=0)[:, :3000]
    print("faster-whisper: features differ by at most", np.abs(theirs - features).max(), file=sys.stderr)
    model = ct.models.Whisper(str(folder), compute_type="float32")
    out = np.array(model.encode(ct.StorageView.from_array(features[None].astype(np.float32))))[0]
    print("ctranslate2: what is encoded differs by at most", np.abs(out - encoded).max(), file=sys.stderr)


def some(x, digits=5):
    """Every number's place matters, so sums over rows and columns stand beside a few of them."""
    return {
        "rows": [round(float(v), digits) for v in x.mean(1)[:: max(1, len(x) // 60)]],
        "columns": [round(float(v), digits) for v in x.mean(0)],
        "few": [round(float(v), digits) for v in x.reshape(-1)[:: x.size // 200]],
    }


def main():
    samples = sound()
    speech = silero(safetensors(sys.argv[1]), samples.astype(np.float64))
    whisper = Whisper(sys.argv[2])
    features = mel(samples.astype(np.float64))
    encoded = whisper.encode(features)
    if "--check" in sys.argv:
        check(sys.argv[2], samples, features, encoded)
    first = whisper.logits(encoded, [50257])
    later = whisper.logits(encoded, [50257, 50363, 314, 716, 257, 1332])
    golden = {
        "samples": [round(float(v), 6) for v in samples[::997]],
        "speech": [round(float(v), 6) for v in speech],
        "features": some(features.T),
        "encoded": some(encoded),
        "first": {"few": [round(float(v), 4) for v in first[::300]], "best": np.argsort(-first)[:5].tolist()},
        "later": {"few": [round(float(v), 4) for v in later[::300]], "best": np.argsort(-later)[:5].tolist()},
    }
    json.dump(golden, sys.stdout)
    print()


if __name__ == "__main__":
    main()
