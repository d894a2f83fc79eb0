"""EfficientNet-Lite0 in numpy, from the file to the logits: pictures.py CHECKPOINT FOLDER > golden/pictures.json

Needs numpy and Pillow. Nothing of it is shared with the Rust code: Pillow decodes
and scales, Python's own unpickler reads the checkpoint (restricted to what one has), batch normalisation is not folded, and
each convolution is a sum over its taps.
"""

import collections
import json
import pickle
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def checkpoint(path):
    file = open(path, "rb")
    storages = {}

    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            known = {
                ("collections", "OrderedDict"): collections.OrderedDict,
                ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, size, stride, *_: (storage, offset, size, stride),
                ("torch", "FloatStorage"): np.float32,
                ("torch", "LongStorage"): np.int64,
            }
            return known[module, name]

        def persistent_load(self, saved):
            _, kind, key, _, count, _ = saved
            storages[key] = kind
            return key

    for _ in range(3):
        pickle.load(file)
    state = Reader(file).load()
    data = {}
    for key in pickle.load(file):
        (count,) = struct.unpack("<q", file.read(8))
        data[key] = np.frombuffer(file.read(count * np.dtype(storages[key]).itemsize), storages[key])

    # The convolutions lie as TensorFlow has them, and are turned by their strides.
    def tensor(key, offset, size, stride):
        whole = data[key]
        return np.lib.stride_tricks.as_strided(whole[offset:], size, [step * whole.itemsize for step in stride])

    return {name: tensor(*saved) for name, saved in state.items()}


def pixels(path, size=224, padding=32):
    """EfficientNet's own preprocessing: the middle square of size / (size + padding) of the shorter edge, bicubic."""
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    width, height = picture.size
    cut = int(size / (size + padding) * min(width, height))
    left, top = (width - cut + 1) // 2, (height - cut + 1) // 2
    box = (left, top, left + cut, top + cut)
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box=box))


def convolve(x, weights, stride, depthwise):
    """x is [channels, height, width]; TensorFlow's SAME padding."""
    kernel = weights.shape[-1]
    height, width = (-(-side // stride) for side in x.shape[1:])
    total = [max((out - 1) * stride + kernel - side, 0) for out, side in zip((height, width), x.shape[1:])]
    x = np.pad(x, [(0, 0)] + [(t // 2, t - t // 2) for t in total])
    out = np.zeros((weights.shape[0], height, width))
    for i in range(kernel):
        for j in range(kernel):
            part = x[:, i : i + stride * height : stride, j : j + stride * width : stride]
            if depthwise:
                out += weights[:, 0, i, j][:, None, None] * part
            else:
                out += np.einsum("oc,chw->ohw", weights[:, :, i, j], part, optimize=True)
    return out


STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320)]  # fmt: skip


def logits(state, image):
    w = {name: value.astype(np.float64) for name, value in state.items()}

    def norm(x, name):
        part = lambda what: w[f"{name}.{what}"][:, None, None]
        return (x - part("running_mean")) / np.sqrt(part("running_var") + 1e-3) * part("weight") + part("bias")

    relu6 = lambda x: np.clip(x, 0, 6)
    x = (image.astype(np.float64).transpose(2, 0, 1) - 127) / 128
    x = relu6(norm(convolve(x, w["_conv_stem.weight"], 2, False), "_bn0"))
    index = 0
    for repeats, _, first, expansion, outputs in STAGES:
        for repeat in range(repeats):
            name, stride, before = f"_blocks.{index}.", first if repeat == 0 else 1, x
            if expansion > 1:
                x = relu6(norm(convolve(x, w[name + "_expand_conv.weight"], 1, False), name + "_bn0"))
            x = relu6(norm(convolve(x, w[name + "_depthwise_conv.weight"], stride, True), name + "_bn1"))
            x = norm(convolve(x, w[name + "_project_conv.weight"], 1, False), name + "_bn2")
            if stride == 1 and before.shape == x.shape:
                x = x + before
            index += 1
    x = relu6(norm(convolve(x, w["_conv_head.weight"], 1, False), "_bn1")).mean((1, 2))
    return w["_fc.weight"] @ x + w["_fc.bias"]


def formula(size=224):
    """Pixels that no decoder has a part in."""
    y, x, colour = np.mgrid[0:size, 0:size, 0:3]
    return ((x * (3 + colour) + y * (5 - colour) + x * y // 64) % 256).astype(np.uint8)


def main():
    state = checkpoint(sys.argv[1])
    golden = []
    for path in sorted(Path(sys.argv[2]).glob("*.[jpw]*")):
        image = pixels(path)
        out = logits(state, image)
        order = np.argsort(-out, kind="stable")[:5]
        powers = np.exp(out - out.max())
        golden.append({
            "file": path.name,
            "mean": [round(float(x), 4) for x in image.mean((0, 1))],
            "corner": image[0, 0].tolist(),
            "centre": image[112, 112].tolist(),
            "logits": [round(float(x), 5) for x in out],
            "top": order.tolist(),
            "scores": [round(float(x), 6) for x in (powers / powers.sum())[order]],
        })  # fmt: skip
    exact = [round(float(x), 6) for x in logits(state, formula())]
    json.dump({"formula": exact, "pictures": golden}, sys.stdout)
    print()


main()
