"""The decoder beside llama.cpp: the same GGUF, the same tokens, the same number of threads, in turns. A part of run.py.

It builds llama-cpp-python for this CPU in an environment of its own below target/bench, which takes some minutes the first time.
"""

import os
import subprocess
import sys

from run import HERE, OUT, ROOT, Worker, figures, interleaved, run, say

PEERS = ["llama-cpp-python==0.3.36", "numpy"]
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
# What a token reads of the weights: all but the embedding's row, the head being tied.
BYTES = 96.6e6
AIMS = {("decode", 1): 0.52, ("decode", 2): 0.58, ("prefill", 1): 0.38, ("prefill", 2): 0.38, ("prefix", 1): 0.10, ("prefix", 2): 0.10}


def environment():
    """The peer's interpreter, made once and kept: built from source, so that it has what this CPU has."""
    folder = OUT / "decoder-python"
    python = folder / "bin" / "python"
    try:
        if not (folder / "complete").exists():
            run(sys.executable, "-m", "venv", "--clear", folder)
            run(python, "-m", "pip", "install", "--quiet", "--no-binary", "llama-cpp-python", *PEERS)
            (folder / "complete").touch()
        return python, None
    except (subprocess.CalledProcessError, OSError) as error:
        return None, f"pip install {' '.join(PEERS)}: {error}"


def rows(quick):
    """Ours and llama.cpp's, one thread and two."""
    run("cargo", "build", "--release", "-p", "fdk-inference", "--features", "text", "--example", "decoder_worker")
    run("cargo", "run", "--release", "-p", "cargo-fdk", "--", "assets", "fetch", "smollm2")
    run("rustc", "-O", "--edition", "2024", "-o", OUT / "bandwidth", HERE / "bandwidth.rs")
    python, why = environment()
    model, ids, found = ROOT / "model-assets/smollm2" / GGUF, OUT / "decoder-ids.txt", []
    worker = [ROOT / "target/release/examples/decoder_worker", ROOT / "model-assets", "smollm2", ids]
    cases = {"decode": 1 if quick else 2, "prefill": 1 if quick else 3, "prefix": 2 if quick else 5}
    for threads in (1, 2):
        if threads > (os.cpu_count() or 1):
            continue
        not_run = {"llama.cpp": why} if why else {}
        count = {"FDK_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
        workers = {"ours": Worker(worker, count)}
        workers["ours"].ask("decode", 1)  # It has written the ids now.
        if python:
            workers["llama.cpp"] = Worker([python, HERE / "llama_worker.py", model, threads, ids])
        if not quick:
            workers["candle"] = Worker(worker, count | {"FDK_KERNELS": "candle"})
        seconds = interleaved(workers, cases, 3 if quick else 7, not_run)
        for one in workers.values():
            one.close()
        peak = float(run(OUT / "bandwidth", str(threads), capture_output=True, text=True).stdout)
        for case in cases:
            for ours in workers.keys() & {"ours", "candle"}:
                row = {"case": case, "threads": threads, "ours": ours, "bandwidth_gbs": peak, "not_run": [f"{name}: {why}" for name, why in not_run.items()]}
                figure = figures(seconds, ours, ["llama.cpp"], case)
                if figure:
                    row |= figure | {"aim": AIMS[case, threads] if ours == "ours" else None}
                    if case == "decode":
                        row["of_bandwidth"] = BYTES / (figure["ours_ms"] * 1e6) / peak
                found.append(row)
                say(describe(row))
    return found


def describe(row):
    head = f"{row['case']:8} {row['threads']}T {row['ours']:7}"
    if "ratio" not in row:
        return f"{head} NOT RUN: {'; '.join(row['not_run'])}"
    aim = f" (aim ≤ {row['aim']})" if row["aim"] else ""
    share = f", {100 * row['of_bandwidth']:.0f} % of {row['bandwidth_gbs']:.1f} GB/s" if "of_bandwidth" in row else ""
    return f"{head} {row['ours_ms']:9.2f} ms, {row['peer']} {row['peer_ms']:9.2f} ms, ratio {row['ratio']:.3f}{aim}{share}"
