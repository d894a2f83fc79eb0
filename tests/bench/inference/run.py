"""Inference beside its CPU peers, interleaved in one run, so that another load on the machine falls on all alike.

From the root of the repository:

    python3 tests/bench/inference/run.py [--quick] [--only tokenizer,start,memory,encoder,quota,decoder,media]

It builds what it measures for release, fetches and prepares the models, and installs its Python peers in environments of
their own below target/bench. It prints medians and ratios, and writes target/bench/inference.json and
target/bench/inference.svg. A peer that cannot be installed or run is reported as NOT RUN.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import chart  # noqa: E402
import functions  # noqa: E402
import machine  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
OUT = ROOT / "target" / "bench"
PEERS = ["onnxruntime", "numpy", "onnx", "tokenizers", "fdk"]
WORDS = "the of and in to was is for as on with by he at from his an were are which this also be has or had first".split()


def say(text):
    print(text, flush=True)


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, cwd=ROOT, **options)


def environment():
    """The peers' interpreter, made once and kept."""
    folder = OUT / "inference-python"
    python = folder / "bin" / "python"
    try:
        if not (folder / "complete").exists():
            run(sys.executable, "-m", "venv", "--clear", folder)
            run(python, "-m", "pip", "install", "--quiet", *PEERS)
            (folder / "complete").touch()
        return python, None
    except (subprocess.CalledProcessError, OSError) as error:
        return None, f"pip install {' '.join(PEERS)}: {error}"


def texts():
    """Texts of known numbers of tokens: each of these words is one, and two stand around a text."""
    pick = random.Random(7)

    def of(tokens):
        return " ".join(pick.choice(WORDS) for _ in range(tokens - 2))

    return {
        "12 tokens": [of(12)],
        "128 tokens": [of(128)],
        "256 tokens": [of(256)],
        "32 × 64 tokens": [of(64) for _ in range(32)],
        "32 mixed lengths": [of(pick.randrange(16, 113)) for _ in range(32)],
    }


class Worker:
    """A process that runs a case as often as a line asks, and answers with the seconds of each."""

    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**os.environ, **(environment or {})},
        )

    def ask(self, case, times):
        # Threads of the one before may still spin, waiting for more.
        time.sleep(0.03)
        self.process.stdin.write(f"{times}\t{case}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("it ended")
        return [float(seconds) for seconds in line.split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def interleaved(workers, cases, rounds, not_run):
    """Seconds of each case for each worker, round by round; each other round runs the other way."""
    seconds = {name: {case: [] for case in cases} for name in workers}
    for number in range(rounds + 1):
        names = list(workers)
        for case, times in cases.items():
            for name in names if number % 2 else reversed(names):
                if name in not_run:
                    continue
                try:
                    taken = workers[name].ask(case, times if number else 2)
                    if number:
                        seconds[name][case].append(taken)
                except (RuntimeError, OSError, ValueError) as error:
                    not_run[name] = str(error)
    return seconds


def figures(seconds, name, peers, case):
    """Ours and the faster peer's median in ms, and the median of the rounds' ratios."""
    medians = lambda rounds: [statistics.median(one) for one in rounds]
    ours = medians(seconds[name][case])
    best = None
    for peer in peers:
        theirs = medians(seconds.get(peer, {}).get(case, []))
        if theirs and (best is None or statistics.median(theirs) < statistics.median(best[1])):
            best = (peer, theirs)
    if not ours or best is None:
        return None
    ratio = statistics.median(a / b for a, b in zip(ours, best[1]))
    return {"ours_ms": 1e3 * statistics.median(ours), "peer": best[0], "peer_ms": 1e3 * statistics.median(best[1]), "ratio": ratio}


def flops(lengths):
    """Of MiniLM: six layers of width 384 and forward 1536."""
    return sum(length * (2 * 6 * 1_769_472 + 6 * 4 * 384 * length) for length in lengths)


AIMS = {
    ("12 tokens", 1): 0.85, ("12 tokens", 2): 0.78, ("128 tokens", 1): 0.90, ("128 tokens", 2): 0.84,
    ("256 tokens", 1): 0.90, ("256 tokens", 2): 0.84, ("32 × 64 tokens", 1): 0.82, ("32 × 64 tokens", 2): 0.82,
    ("32 mixed lengths", 2): 0.45,
}


def encoder(paths, python, quick, peak):
    cases = {name: times for name, times in zip(texts(), [20, 6, 4, 1, 1] if quick else [60, 12, 8, 2, 2])}
    lengths = {name: [len(text.split()) + 2 for text in of] for name, of in texts().items()}
    rows = []
    for threads in (1, 2):
        if threads > (os.cpu_count() or 1):
            continue
        workers, not_run = {}, {}
        for precision in ("f32", "f16", "int8"):
            command = [paths["worker"], paths[precision], "minilm", OUT / "inference-texts.json"]
            workers[precision] = Worker(command, {"FDK_THREADS": str(threads)})
        workers["candle"] = Worker(
            [paths["worker"], paths["plain"], "minilm", OUT / "inference-texts.json"],
            {"FDK_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads), "FDK_KERNELS": "candle"},
        )
        for graph in ("plain", "fused", "int8"):
            name = f"onnxruntime {graph}"
            if python is None:
                not_run[name] = "no Python peers"
            else:
                workers[name] = Worker([python, HERE / "ort_worker.py", OUT / f"{graph}.onnx", threads, OUT / "inference-texts.json", paths["plain"]])
        seconds = interleaved(workers, cases, 3 if quick else 7, not_run)
        for worker in workers.values():
            worker.close()
        wide = ["onnxruntime plain", "onnxruntime fused"]
        for case in cases:
            for ours, peers in (("f32", wide), ("f16", wide), ("f16", ["onnxruntime int8"]), ("int8", ["onnxruntime int8"]), ("int8", wide), ("candle", wide)):
                found = figures(seconds, ours, peers, case)
                row = {"case": case, "threads": threads, "ours": ours, "not_run": [f"{peer}: {why}" for peer, why in not_run.items()]}
                if found:
                    aim = AIMS.get((case, threads)) if ours == "f32" else 0.92 if peers == ["onnxruntime int8"] else None
                    share = flops(lengths[case]) / (found["ours_ms"] / 1e3) / (peak * threads) if peak else None
                    row |= found | {"aim": aim, "of_fma_peak": share}
                rows.append(row)
                say(describe(row))
    return rows


def describe(row):
    head = f"{row['case']:18} {row['threads']}T {row['ours']:7}"
    if "ratio" not in row:
        return f"{head} NOT RUN: {'; '.join(row['not_run'])}"
    aim = f" (aim ≤ {row['aim']})" if row["aim"] else ""
    share = f", {100 * row['of_fma_peak']:.0f} % of FMA peak" if row["of_fma_peak"] else ""
    return f"{head} {row['ours_ms']:9.2f} ms, {row['peer']:18} {row['peer_ms']:9.2f} ms, ratio {row['ratio']:.2f}{aim}{share}"


def vectors(command, environment=None):
    worker = Worker(command, environment)
    try:
        worker.process.stdin.write("vectors\t\n")
        worker.process.stdin.flush()
        return json.loads(worker.process.stdout.readline())
    except ValueError:
        return None
    finally:
        worker.close()


def cosines(paths, python):
    """The least cosine of each precision's vectors to those of onnxruntime in f32, over all texts of all cases."""
    if python is None:
        return {"not_run": "no Python peers"}
    ort = lambda graph: vectors([python, HERE / "ort_worker.py", OUT / f"{graph}.onnx", 1, OUT / "inference-texts.json", paths["plain"]])
    base, least = ort("plain"), {}
    found = {name: vectors([paths["worker"], paths[name], "minilm", OUT / "inference-texts.json"]) for name in ("f32", "f16", "int8")}
    found["onnxruntime int8"] = ort("int8")
    for name, other in found.items():
        if base and other:
            dots = [sum(a * b for a, b in zip(x, y)) for x, y in zip(base, other)]
            least[name] = min(dots)
    say("least cosine to onnxruntime f32: " + ", ".join(f"{name} {value:.6f}" for name, value in least.items()))
    return least


def tokenizer(paths, quick):
    """Ours and the crate's, in one process: 1,000 texts of many scripts, and being ready."""
    output = run(paths["worker"], paths["f16"], "minilm", "tokenizer", "5" if quick else "15", capture_output=True, text=True)
    found = json.loads(output.stdout)
    found["ratio"] = found["own_ms"] / found["crate_ms"]
    say(f"tokenise {found['texts']} texts: {found['own_ms']:.2f} ms, crate {found['crate_ms']:.2f} ms, ratio {found['ratio']:.2f}; "
        f"ready {found['own_ready_ms']:.3f} ms, crate {found['crate_ready_ms']:.1f} ms; ids equal: {found['equal']}")
    return found


def prepare(model, folder, precision):
    """A folder of assets with one model, prepared, or without a precision as it is."""
    tool = ROOT / "target/release/cargo-fdk"
    folder.mkdir(exist_ok=True)
    run("cp", "-a", ROOT / "model-assets/models.toml", folder)
    run("rm", "-rf", folder / model)
    run("cp", "-a", ROOT / "model-assets" / model, folder)
    run("rm", "-f", folder / model / "model.prepared")
    if precision:
        run(tool, "assets", "prepare", model, "--dir", folder, "--precision", precision)


def media(quick):
    """Pictures and speech, by media.py and the interpreter that has its peers."""
    folder = OUT / "media"
    python = folder / "bin" / "python"
    try:
        if not (folder / "complete").exists():
            run(sys.executable, "-m", "venv", "--clear", folder)
            run(python, "-m", "pip", "install", "--quiet", "numpy", "pillow", "onnx", "onnxruntime", "faster-whisper")
            (folder / "complete").touch()
    except (subprocess.CalledProcessError, OSError) as error:
        say(f"NOT RUN: the peers of pictures and speech: {error}")
        return {"not_run": str(error)}
    if shutil.which("espeak-ng") is None:
        say("NOT RUN: pictures and speech: espeak-ng, install with apt-get install espeak-ng")
        return {"not_run": "espeak-ng"}
    run("cargo", "build", "--release", "-p", "fdk-inference", "--features", "text,vision,speech", "--example", "media_timer")
    run(ROOT / "target/release/cargo-fdk", "assets", "fetch", "efficientnet-lite0", "whisper-tiny-en", "silero-vad")
    for precision in ("f32", "f16"):
        prepare("efficientnet-lite0", OUT / f"pictures-{precision}", precision)
    run(python, HERE.parent / "media.py", "5" if quick else "15")
    return json.loads((OUT / "media.json").read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, to try it out")
    parser.add_argument("--only", default="tokenizer,start,memory,encoder,quota,decoder,media", help="parts, with commas between")
    options = parser.parse_args()
    only = set(options.only.split(","))
    OUT.mkdir(parents=True, exist_ok=True)
    started = machine.load()
    say("building")
    run("cargo", "build", "--release", "-p", "embed", "-p", "hello", "-p", "cargo-fdk")
    run("cargo", "build", "--release", "-p", "fdk-inference", "--features", "text", "--example", "encoder_worker")
    run("rustc", "-O", "--edition", "2024", "-o", OUT / "peak", HERE / "peak.rs")
    python, why = environment()
    if why:
        say(f"NOT RUN: the Python peers: {why}")
    tool = ROOT / "target/release/cargo-fdk"
    paths = {"worker": ROOT / "target/release/examples/encoder_worker", "embed": ROOT / "target/release/embed", "hello": ROOT / "target/release/hello"}
    run(tool, "assets", "fetch", "minilm")
    for name in ("plain", "f32", "f16", "int8"):
        paths[name] = OUT / f"assets-{name}"
        prepare("minilm", paths[name], None if name == "plain" else name)
    (OUT / "inference-texts.json").write_text(json.dumps(texts()))
    if python and not (OUT / "int8.onnx").exists():
        run(python, HERE / "onnx_export.py", ROOT / "model-assets/minilm/model.safetensors", OUT)
    peak = float(run(OUT / "peak", capture_output=True, text=True).stdout) * 1e9
    result = {"machine": machine.describe(started, python), "fma_peak_gflops_per_core": peak / 1e9, "quick": options.quick}
    for name, value in result["machine"].items():
        say(f"{name:>14}  {value}")
    say(f"{'FMA peak':>14}  {peak / 1e9:.1f} GFLOP/s a core, in f32")
    if "tokenizer" in only:
        result["tokenizer"] = tokenizer(paths, options.quick)
    if "start" in only:
        result["start"] = functions.cold(paths, python, OUT, 7 if options.quick else 15, say)
    if "memory" in only:
        result["memory"] = functions.memory(paths, python, OUT, say)
    if "encoder" in only:
        result["cosine"] = cosines(paths, python)
        result["encoder"] = encoder(paths, python, options.quick, peak)
    if "quota" in only:
        import quota  # which imports this

        result["quota"] = quota.rows(paths, options.quick)
    if "decoder" in only:
        import decoder  # which imports this

        result["decoder"] = decoder.rows(options.quick)
    if "media" in only:
        result["media"] = media(options.quick)
    result["machine"]["load after"] = machine.load()
    (OUT / "inference.json").write_text(json.dumps(result, indent=1, ensure_ascii=False))
    (OUT / "inference.svg").write_text(chart.draw(result))
    say(f"written: {OUT / 'inference.json'}, {OUT / 'inference.svg'}")


if __name__ == "__main__":
    main()
