"""Where and with what it was measured: a figure without that is none."""

import datetime
import os
import pathlib
import platform
import subprocess

FEATURES = ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "neon", "asimd")


def load():
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def describe(load_before, python):
    info = pathlib.Path("/proc/cpuinfo").read_text()

    def field(name):
        line = next((line for line in info.splitlines() if line.startswith(name)), ":")
        return line.split(":", 1)[1].strip()

    flags = field("flags").split()
    facts = {
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "cpu": f"{field('model name')}, family {field('cpu family')} model {field('model')}",
        "cpu features": " ".join(name for name in FEATURES if name in flags),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load before": load_before,
        "rustc": subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip(),
    }
    if python:
        script = "import importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in ('onnxruntime', 'numpy', 'tokenizers', 'fdk')))"
        facts["peers"] = subprocess.run([python, "-c", script], capture_output=True, text=True).stdout.strip()
    return facts
