"""Every example as its image: size, memory, cold start and latency, in the container as the agent starts it.

From the root of the repository, with a container engine:

    python3 tests/bench/images.py [EXAMPLE…]

It builds each example's image by the Dockerfile (where the base images cannot be pulled, tests/image/bases.sh makes them), starts
it with the memory that its func.yaml grants, and sends it one real request. It prints a table in Markdown and writes
target/bench/images.json. Columns:

    image     bytes beyond the base image, in MB of 10^6
    memory    what func.yaml grants, and the most that the container ever used of it (its cgroup's peak, page cache included)
    start     the function's own, from exec until it could answer, as its log says; and from `docker run` to the first reply,
              the median of five
    latency   of the same request to a warm container, the median of 21

A second table has larger requests: the memory that start-up reckoned to need, the peak, and the median of three calls.

A third has requests that cannot be answered in the half second that they get: when the reply came, and when the model was free
again, both from the deadline on. Work ends within 200 ms of it.
"""

import datetime
import io
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import wave

sys.path.insert(0, str(pathlib.Path(__file__).parent / "inference"))
import machine  # noqa: E402
from functions import Connection  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
MB = 1e6
SENTENCE = "The quick brown fox jumps over the lazy dog near the river."
DOCUMENTS = ["Paris is the capital of France.", "Bake the bread for forty minutes.", "The Seine runs through Paris.",
             "Interest rates were raised.", "France lies in Europe.", "A kitten sleeps.", "Lyon is a city.", "Rain fell."]  # fmt: skip
WALLS = ("--read-only --tmpfs /tmp --user 1000:1000 --cap-drop ALL --security-opt no-new-privileges --pids-limit 50 "
         "--ulimit nofile=350 --ulimit memlock=65536 --network none").split()  # fmt: skip


def media(path):
    return (ROOT / "tests/inference" / path).read_bytes()


def requests():
    """What is asked of each example, and its content type."""
    told = lambda value: (json.dumps(value).encode(), "application/json")
    return {
        "hello": told({"name": "Fn"}),
        "embed": told({"inputs": [SENTENCE]}),
        "rerank": told({"query": "What is the capital of France?", "documents": DOCUMENTS}),
        "classify": told({"inputs": SENTENCE, "labels": ["animals", "finance", "cooking", "sport"]}),
        "generate": told({"messages": [{"role": "user", "content": "Name three colours."}], "max_tokens": 24}),
        "vision": (media("pictures/cat.jpg"), "image/jpeg"),
        "transcribe": (media("recordings/sentence.wav"), "audio/wav"),
        "serve": told({"inputs": [SENTENCE]}),
    }


def loads():
    """Larger requests, for the memory they take: the example, in words, and what is asked."""
    words = lambda count: " ".join((SENTENCE.split() * count)[:count])
    told = lambda value: (json.dumps(value).encode(), "application/json")
    return [
        ("embed", "one text of 250 words", told({"inputs": [words(250)]})),
        ("embed", "32 texts of 60 words", told({"inputs": [words(60)] * 32})),
        ("embed", "128 texts of 250 words", told({"inputs": [words(250)] * 128})),
        ("rerank", "100 documents of 60 words", told({"query": SENTENCE, "documents": [words(60)] * 100})),
        ("generate", "a prompt of 1,000 words, 64 tokens", told({"prompt": words(1000), "max_tokens": 64})),
        ("generate", "128 tokens", told({"prompt": SENTENCE, "max_tokens": 128})),
    ]


def overdue():
    """Requests that take longer than half a second."""
    long = [(example, words, asked) for example, words, asked in loads() if words.split(" of ")[0] in ("128 texts", "100 documents") or "prompt" in words]
    return [*long, ("transcribe", "30 s of speech", (thirty_seconds(), "audio/wav"))]


def thirty_seconds():
    """The recording of a sentence, one after the other."""
    with wave.open(io.BytesIO(media("recordings/sentence.wav"))) as one:
        parameters, frames = one.getparams(), one.readframes(one.getnframes())
    times = round(30 * parameters.framerate / parameters.nframes)
    held = io.BytesIO()
    with wave.open(held, "wb") as many:
        many.setparams(parameters)
        many.writeframes(frames * times)
    return held.getvalue()


def docker(*arguments, check=True):
    ran = subprocess.run(["docker", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)
    if check and ran.returncode != 0:
        raise RuntimeError(f"docker {' '.join(map(str, arguments))}: {ran.stderr.strip()[-2000:]}")
    return ran.stdout.strip() + (ran.stderr if arguments[0] == "logs" else "")


def bases():
    """The arguments of a build, and the runtime's base."""
    text = (ROOT / "Dockerfile").read_text()
    usual = {name: re.search(rf"^ARG {name}=(.*)$", text, re.M)[1] for name in ("BUILDER", "RUNTIME")}
    there = lambda image: subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode == 0
    if all(there(image) or subprocess.run(["docker", "pull", "-q", image], capture_output=True).returncode == 0 for image in usual.values()):
        return [], usual["RUNTIME"]
    made = subprocess.run([ROOT / "tests/image/bases.sh"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return made, next(word.removeprefix("RUNTIME=") for word in made if word.startswith("RUNTIME="))


class Container:
    def __init__(self, image, memory, config):
        self.folder = tempfile.mkdtemp(prefix="fdk-bench", dir="/tmp")
        os.chmod(self.folder, 0o777)
        self.socket, self.connection = os.path.join(self.folder, "lsnr.sock"), None
        limit = [f"--memory={memory}m", f"--memory-swap={memory}m", "-v", f"{self.folder}:/tmp/iofs"]
        environment = {"FN_LISTENER": "unix:/tmp/iofs/lsnr.sock", "FN_FORMAT": "http-stream", "FN_MEMORY": memory, "FN_TYPE": "sync", **config}
        variables = [part for key, value in environment.items() for part in ("-e", f"{key}={value}")]
        self.began = time.perf_counter()
        self.id = docker("run", "-d", *WALLS, *limit, *variables, image)
        while not os.path.exists(self.socket):
            if time.perf_counter() - self.began > 60:
                raise RuntimeError(f"no socket: {docker('logs', self.id)}")
            time.sleep(0.0005)

    def send(self, body, kind, deadline):
        """The status and the content of the reply to a call that has until then, in seconds of the epoch."""
        if self.connection is None:
            self.connection = Connection(self.socket)
        deadline = datetime.datetime.fromtimestamp(deadline, datetime.UTC).isoformat()
        head = {"Fn-Call-Id": "01BENCH", "Fn-Deadline": deadline, "Content-Type": kind}
        self.connection.request("POST", "/call", body, head)
        reply = self.connection.getresponse()
        return reply.status, reply.read()

    def call(self, body, kind):
        status, content = self.send(body, kind, time.time() + 120)
        if status != 200:
            raise RuntimeError(f"status {status}: {content[:300]!r} {docker('logs', self.id)}")
        return content

    def peak(self):
        for path in (f"/sys/fs/cgroup/system.slice/docker-{self.id}.scope/memory.peak", f"/sys/fs/cgroup/docker/{self.id}/memory.peak",
                     f"/sys/fs/cgroup/memory/docker/{self.id}/memory.max_usage_in_bytes"):  # fmt: skip
            if os.path.exists(path):
                return int(pathlib.Path(path).read_text()) / MB
        return None

    def own_start(self):
        """Milliseconds that the log of the start states."""
        found = re.search(r'"total_ms":([0-9.]+)|ready in ([0-9.]+) ms', docker("logs", self.id))
        return float(found[1] or found[2]) if found else None

    def stop(self):
        docker("rm", "-f", self.id, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def settings(example):
    """The memory and the configuration of a func.yaml, which is as simple as ours are."""
    lines = (ROOT / "examples" / example / "func.yaml").read_text().splitlines()
    memory = next(int(line.split(":")[1]) for line in lines if line.startswith("memory:"))
    config, inside = {}, False
    for line in lines:
        inside = line == "config:" or (inside and line.startswith(" "))
        if inside and ":" in line and not line.lstrip().startswith("#") and line != "config:":
            key, value = line.strip().split(":", 1)
            config[key] = value.strip().strip('"')
    return memory, config


def measure(example, arguments, base):
    body, kind = requests()[example]
    tag = f"fdk-bench-{example}"
    began = time.monotonic()
    docker("build", *arguments, "--build-arg", f"FUNCTION={example}", "-t", tag, ".")
    built = time.monotonic() - began
    size = lambda image: int(docker("image", "inspect", "-f", "{{.Size}}", image))
    memory, config = settings(example)
    starts, own, row = [], [], {"example": example, "image_mb": (size(tag) - size(base)) / MB, "granted_mb": memory, "built_s": built}
    for number in range(6):
        container = Container(tag, memory, config)
        try:
            container.call(body, kind)
            if number:  # The first one brings the image into the page cache.
                starts.append(1e3 * (time.perf_counter() - container.began))
                own.append(container.own_start())
            if number == 5:
                taken = []
                for _ in range(21):
                    began = time.perf_counter()
                    container.call(body, kind)
                    taken.append(1e3 * (time.perf_counter() - began))
                row["latency_ms"], row["peak_mb"] = statistics.median(taken), container.peak()
        finally:
            container.stop()
    row["first_reply_ms"] = statistics.median(starts)
    row["start_ms"] = statistics.median(own) if None not in own else None
    return row


def under(example, body, kind):
    """The most memory that a container used for such a request, and the median of three calls after the first."""
    memory, config = settings(example)
    container, taken = Container(f"fdk-bench-{example}", memory, config), []
    try:
        for _ in range(4):
            began = time.perf_counter()
            container.call(body, kind)
            taken.append(1e3 * (time.perf_counter() - began))
        needed = re.search(r'"memory_needed_mb":([0-9]+)', docker("logs", container.id))
        return {"granted_mb": memory, "needed_mb": int(needed[1]) if needed else None, "peak_mb": container.peak(), "ms": statistics.median(taken[1:])}
    finally:
        container.stop()


def late(example, body, kind):
    """Milliseconds after the deadline, the medians of five: of the reply, and of the instant when the model was free again, by how
    much longer than usual the next small call took."""
    memory, config = settings(example)
    small, container = requests()[example], Container(f"fdk-bench-{example}", memory, config)

    try:
        usual = []
        for _ in range(8):
            began = time.time()
            container.call(*small)
            usual.append(time.time() - began)
        statuses, replied, free = set(), [], []
        for _ in range(5):
            deadline = time.time() + 0.5
            status, _ = container.send(body, kind, deadline)
            first = time.time()
            container.call(*small)
            second = time.time()
            statuses.add(status)
            replied.append(1e3 * (first - deadline))
            free.append(1e3 * (second - statistics.median(usual) - deadline))
        return {"statuses": sorted(statuses), "replied_ms": statistics.median(replied), "free_ms": statistics.median(free)}
    finally:
        container.stop()


def main():
    wanted = sys.argv[1:] or list(requests())
    result = {"machine": machine.describe(machine.load(), None), "images": [], "loads": [], "overdue": []}
    for name, value in result["machine"].items():
        print(f"{name:>14}  {value}")
    arguments, base = bases()
    shown = lambda value, digits=0: "?" if value is None else f"{value:,.{digits}f}"
    print("| example | image MB | memory MB: granted, peak | start ms: own, `docker run` to reply | latency ms |\n|---|---|---|---|---|")
    for example in wanted:
        row = measure(example, arguments, base)
        result["images"].append(row)
        print(f"| {example} | {shown(row['image_mb'], 1)} | {row['granted_mb']}, {shown(row['peak_mb'])} | "
              f"{shown(row['start_ms'], 1)}, {shown(row['first_reply_ms'])} | {shown(row['latency_ms'], 2)} |", flush=True)  # fmt: skip
    print("\n| example | a request of | memory MB: granted, needed by its own reckoning, peak | ms |\n|---|---|---|---|")
    for example, words, (body, kind) in loads():
        if example in wanted:
            row = under(example, body, kind)
            result["loads"].append({"example": example, "request": words, **row})
            print(f"| {example} | {words} | {row['granted_mb']}, {shown(row['needed_mb'])}, {shown(row['peak_mb'])} | {shown(row['ms'], 1)} |", flush=True)
    print("\n| example | half a second for | status | ms after the deadline: the reply, the model free again |\n|---|---|---|---|")
    for example, words, (body, kind) in overdue():
        if example in wanted:
            row = late(example, body, kind)
            result["overdue"].append({"example": example, "request": words, **row})
            statuses = ", ".join(map(str, row["statuses"]))
            print(f"| {example} | {words} | {statuses} | {shown(row['replied_ms'])}, {shown(row['free_ms'])} |", flush=True)
    out = ROOT / "target/bench/images.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1, ensure_ascii=False))
    print(f"written: {out.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
