"""Pictures and speech beside the CPU peers that install, in turns in one run. inference/run.py sets it up and runs it:

    python3 tests/bench/inference/run.py --only media

A picture: the bytes of a JPEG to labels, with weights prepared as f32 and, as image builds do, as f16, against Pillow and onnxruntime
fp32 with the same weights, folded as we fold them. Speech:
the bytes of a WAV of almost 30 seconds to text, against faster-whisper on ctranslate2 fp32 with the same file, greedy, with its own
voice detection as we have ours. Each on as many threads as there are; the ratio is the median of the rounds' ratios.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "model-assets"
RESULT = []
THREADS = len(os.sched_getaffinity(0))
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 15


class Ours:
    def __init__(self, which, threads, assets=ASSETS):
        program = ROOT / "target/release/examples/media_timer"
        environment = os.environ | {"FDK_ASSETS_DIR": str(assets), "RAYON_NUM_THREADS": str(threads)}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([program, which], stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment)
        assert self.process.stdout.readline() == "ready\n"

    def __call__(self, path):
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        took, _, reply = self.process.stdout.readline().strip().partition(" ")
        return float(took), reply

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def network(path):
    """EfficientNet-Lite0 as an ONNX model, from the checkpoint's weights."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    sys.argv, kept = ["pictures.py"], sys.argv
    source = (ROOT / "tests/inference/reference/pictures.py").read_text().removesuffix("\nmain()\n")
    reference = {}
    exec(compile(source, "pictures.py", "exec"), reference)
    sys.argv = kept
    state = reference["checkpoint"](path)
    nodes, weights = [], []

    def constant(name, value):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    low, high = constant("low", np.array(0)), constant("high", np.array(6))

    def conv(x, name, norm, stride, groups=1, clip=True):
        scale = state[norm + ".weight"] / np.sqrt(state[norm + ".running_var"] + 1e-3)
        kernel = state[name + ".weight"] * scale[:, None, None, None]
        bias = state[norm + ".bias"] - state[norm + ".running_mean"] * scale
        inputs = [x, constant(name + ".w", kernel), constant(name + ".b", bias)]
        size = kernel.shape[-1]
        nodes.append(helper.make_node("Conv", inputs, [name], strides=[stride] * 2, group=groups,
                                      kernel_shape=[size] * 2, auto_pad="SAME_UPPER"))  # fmt: skip
        if not clip:
            return name
        nodes.append(helper.make_node("Clip", [name, low, high], [name + ".clip"]))
        return name + ".clip"

    x, index = conv("x", "_conv_stem", "_bn0", 2), 0
    for repeats, _, first, expansion, _ in reference["STAGES"]:
        for repeat in range(repeats):
            name, stride, before = f"_blocks.{index}.", first if repeat == 0 else 1, x
            if expansion > 1:
                x = conv(x, name + "_expand_conv", name + "_bn0", 1)
            channels = state[name + "_depthwise_conv.weight"].shape[0]
            x = conv(x, name + "_depthwise_conv", name + "_bn1", stride, channels)
            x = conv(x, name + "_project_conv", name + "_bn2", 1, clip=False)
            if repeat > 0:
                nodes.append(helper.make_node("Add", [before, x], [name + "sum"]))
                x = name + "sum"
            index += 1
    x = conv(x, "_conv_head", "_bn1", 1)
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["pool"]))
    nodes.append(helper.make_node("Flatten", ["pool"], ["flat"]))
    last = ["flat", constant("fc.w", state["_fc.weight"]), constant("fc.b", state["_fc.bias"])]
    nodes.append(helper.make_node("Gemm", last, ["y"], transB=1))
    form = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "g", [form("x", [1, 3, 224, 224])], [form("y", [1, 1000])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return model.SerializeToString(), reference["pixels"]


def onnxruntime(threads):
    import onnxruntime as ort

    model, pixels = network(ASSETS / "efficientnet-lite0/efficientnet-lite0-57934424.pth")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(path):
        data = Path(path).read_bytes()
        began = time.perf_counter()
        x = (pixels(io.BytesIO(data)).astype(np.float32).transpose(2, 0, 1)[None] - 127) / 128
        (y,) = session.run(None, {"x": x})
        return (time.perf_counter() - began) * 1000, str(y[0].argmax())

    return run


def faster_whisper(threads):
    import faster_whisper as fw

    folder = ROOT / "target/bench/whisper"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.bin", "config.json", "tokenizer.json"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ASSETS / "whisper-tiny-en" / name)
    if not (folder / "vocabulary.txt").exists():
        import tokenizers

        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        names = [tokenizer.id_to_token(i) or f"<|{(i - 50363) * 0.02:.2f}|>" for i in range(51864)]
        (folder / "vocabulary.txt").write_text("\n".join(names) + "\n")
    model = fw.WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=threads)

    def run(path):
        data = Path(path).read_bytes()
        began = time.perf_counter()
        parts, _ = model.transcribe(io.BytesIO(data), beam_size=1, vad_filter=True, condition_on_previous_text=False)
        text = "".join(part.text for part in parts)
        return (time.perf_counter() - began) * 1000, text

    return run


def photograph():
    """A JPEG of the size that people send: the cat's picture, enlarged to 1,600 pixels."""
    from PIL import Image

    path = ROOT / "target/bench/cat-1600.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(ROOT / "tests/inference/pictures/cat.jpg")
    picture.resize((1600, 1064), Image.Resampling.BICUBIC).save(path, quality=88)
    return path


SPOKEN = """The lighthouse at the northern end of the island was built in the year eighteen hundred and forty two. For more than a
century its keepers climbed the narrow stairs each evening to light the lamp. Sailors from distant harbours learned to trust its
beam. Today the tower belongs to a small museum, and visitors may look at the old machinery on the ground floor. From the gallery
you can see fishing boats, a long sandy beach, and on clear mornings the mountains of the mainland."""


def half_minute():
    """Speech of almost 30 seconds, by espeak-ng. No sentence comes twice: of a text that repeats itself each side would
    believe nothing, and try again at higher temperatures, the peer five times at each."""
    path = ROOT / "target/bench/half-minute.wav"
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", "165", "-w", path, SPOKEN.replace("\n", " ")], check=True)
    with wave.open(str(path)) as made:
        print(f"{made.getnframes() / made.getframerate():.1f} s of speech")
    return path


def wrong(said):
    """Words of the text that were heard otherwise, left out or added, of a hundred."""
    plain = lambda text: "".join(c if c.isalnum() else " " for c in text.lower()).split()
    wanted, heard = plain(SPOKEN), plain(said)
    row = list(range(len(heard) + 1))
    for at, word in enumerate(wanted, 1):
        before, row = row, [at]
        for place, other in enumerate(heard, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (word != other)))
    return 100 * row[-1] / len(wanted)


def compare(what, aim, ours, theirs, path, rounds):
    ours(path), theirs(path)
    mine, other, ratios = [], [], []
    for _ in range(rounds):
        # Threads of the one before may still spin, waiting for more.
        time.sleep(0.05)
        a, said = ours(path)
        time.sleep(0.05)
        b, heard = theirs(path)
        mine.append(a), other.append(b), ratios.append(a / b)
    ratio = statistics.median(ratios)
    verdict = "met" if ratio <= aim else "MISSED"
    print(f"{what:44} {statistics.median(mine):9.1f} {statistics.median(other):9.1f} {ratio:6.2f}  <= {aim} {verdict}", flush=True)
    RESULT.append({"case": what, "ours_ms": statistics.median(mine), "peer_ms": statistics.median(other), "ratio": ratio, "aim": aim})
    return said, heard


def main():
    print(f"{'ms, medians':44} {'ours':>9} {'peer':>9} {'ratio':>6}   (load {os.getloadavg()[0]:.1f})")
    for threads in sorted({1, THREADS}):
        peer = onnxruntime(threads)
        for precision in ("f32", "f16"):
            picture = Ours("picture", threads, ROOT / f"target/bench/pictures-{precision}")
            case = f"{precision}, {threads} threads"
            compare(f"JPEG 451x300, {case}", 0.8, picture, peer, ROOT / "tests/inference/pictures/cat.jpg", ROUNDS)
            compare(f"JPEG 1600x1064, {case}", 0.8, picture, peer, photograph(), ROUNDS)
            picture.close()
        speech, peer = Ours("speech", threads), faster_whisper(threads)
        said = compare(f"27 s of speech, {threads} threads", 1.0, speech, peer, half_minute(), max(3, ROUNDS // 5))
        speech.close()
    for who, text in zip(("ours", "peer"), said):
        print(f"{who}: {wrong(text):.0f} % of the words wrong: {text}")
    (ROOT / "target/bench/media.json").write_text(json.dumps(RESULT, indent=1))


main()
