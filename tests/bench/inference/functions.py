"""Whole functions over their sockets: from exec to the first embedding, and memory."""

import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BODY = {"embed": b'{"inputs": ["a cold start answers this very sentence at once"]}', "hello": b'{"name": "Fn"}'}


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Function:
    """A function started as the agent starts one."""

    def __init__(self, command, config, body):
        self.folder = tempfile.mkdtemp(prefix="fdk-bench")
        self.socket = os.path.join(self.folder, "lsnr.sock")
        environment = {
            "PATH": os.environ["PATH"], "HOME": self.folder, "FN_LISTENER": f"unix:{self.socket}", "FN_FORMAT": "http-stream",
            "FN_MEMORY": "512", "FN_TYPE": "sync", **config,
        }
        self.body, self.connection = body, None
        self.began = time.perf_counter()
        self.process = subprocess.Popen([str(part) for part in command], env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.perf_counter() - self.began > 60:
                self.stop()
                raise RuntimeError(f"{command[0]} published no socket")
            time.sleep(0.0002)

    def call(self):
        if self.connection is None:
            self.connection = Connection(self.socket)
        deadline = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
        self.connection.request("POST", "/call", self.body, {"Fn-Call-Id": "01BENCH", "Fn-Deadline": deadline, "Content-Type": "application/json"})
        reply = self.connection.getresponse()
        content = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"status {reply.status}: {content[:200]!r}")
        return content

    def memory(self):
        """In MB: the proportional share, what is anonymous, and what no other process has."""
        lines = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()[1:]
        field = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
        return {"pss": field["Pss"], "anonymous": field["Anonymous"], "unshared": field["Private_Clean"] + field["Private_Dirty"]}

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def kinds(paths, python, out):
    ours = {f"ours, {name}": ([paths["embed"]], {"FDK_ASSETS_DIR": str(paths[name]), "FDK_MODEL": "minilm", "FDK_LOG": "off"}, BODY["embed"]) for name in ("f16", "int8", "f32", "plain")}
    ours["no model (hello)"] = ([paths["hello"]], {"FDK_LOG": "off"}, BODY["hello"])
    if python:
        config = {"MODEL": str(out / "plain.onnx"), "TOKENIZER": str(paths["plain"] / "minilm/tokenizer.json"), "THREADS": str(os.cpu_count())}
        fdk = python.parent / "fdk"
        ours["Python fdk + onnxruntime"] = ([fdk, HERE / "ort_function.py", "handler"], config, BODY["embed"])
    return ours


def cold(paths, python, out, rounds, say):
    """Milliseconds from exec to the first reply, page cache warm, interleaved."""
    times, not_run = {}, {}
    for number in range(rounds + 1):
        for name, (command, config, body) in kinds(paths, python, out).items():
            if name in not_run:
                continue
            try:
                function = Function(command, config, body)
                try:
                    function.call()
                    if number:
                        times.setdefault(name, []).append(1e3 * (time.perf_counter() - function.began))
                finally:
                    function.stop()
            except (RuntimeError, OSError, http.client.HTTPException) as error:
                not_run[name] = str(error)
    if python is None:
        not_run["Python fdk + onnxruntime"] = "no Python peers"
    result = {name: {"median_ms": statistics.median(taken), "min_ms": min(taken)} for name, taken in times.items()}
    peer = times.get("Python fdk + onnxruntime")
    for name, found in result.items():
        if peer:
            found["ratio"] = statistics.median(a / b for a, b in zip(times[name], peer))
        say(f"exec → first reply: {name:26} {found['median_ms']:8.2f} ms" + (f", ratio {found['ratio']:.3f}" if peer else ""))
    for name, why in not_run.items():
        say(f"exec → first reply: {name:26} NOT RUN: {why}")
        result[name] = {"not_run": why}
    return result


def memory(paths, python, out, say):
    """MB after 100 embeddings, and what a second container of the same adds."""
    result = {}
    for name, (command, config, body) in kinds(paths, python, out).items():
        started = []
        try:
            for _ in range(2):
                function = Function(command, config, body)
                started.append(function)
                for _ in range(100):
                    function.call()
                if len(started) == 1:
                    result[name] = function.memory()
            result[name]["second_unshared"] = started[1].memory()["unshared"]
            found = result[name]
            say(f"memory: {name:26} PSS {found['pss']:7.1f} MB, anonymous {found['anonymous']:6.1f}, a second one adds {found['second_unshared']:6.1f}")
        except (RuntimeError, OSError, http.client.HTTPException) as error:
            result[name] = {"not_run": str(error)}
            say(f"memory: {name:26} NOT RUN: {error}")
        finally:
            for function in started:
                function.stop()
    peer = result.get("Python fdk + onnxruntime", {}).get("pss")
    for name, found in result.items():
        if peer and "pss" in found:
            found["pss_ratio"] = found["pss"] / peer
            say(f"memory: {name:26} PSS ratio {found['pss_ratio']:.3f}")
    return result
