"""Two threads beside one where there are not two cores for them: under a quota of the cgroup, and with busy neighbours.

Under a quota of less than two cores a function has one thread, however many it is told to have.
"""

import contextlib
import os
import pathlib
import statistics
import subprocess
import sys

from run import OUT, Worker, say

PERIOD = 100_000
CASES = {"12 tokens": 40, "128 tokens": 6}


class Group:
    """A cgroup that has so many cores' time; of either version."""

    def __init__(self, cores):
        second = pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()
        self.folder = pathlib.Path("/sys/fs/cgroup" if second else "/sys/fs/cgroup/cpu", f"fdk-bench-{os.getpid()}")
        self.folder.mkdir()
        quota = round(cores * PERIOD)
        try:
            if second:
                (self.folder / "cpu.max").write_text(f"{quota} {PERIOD}")
            else:
                (self.folder / "cpu.cfs_period_us").write_text(str(PERIOD))
                (self.folder / "cpu.cfs_quota_us").write_text(str(quota))
        except OSError:
            self.remove()
            raise

    def inside(self, command):
        """The command, started in the group: how many threads it has is decided at its start."""
        return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', self.folder / "cgroup.procs", *command]

    def remove(self):
        self.folder.rmdir()


def compared(paths, rounds, group, words):
    workers = {}
    try:
        return measured(workers, paths, rounds, group, words)
    finally:
        for worker in workers.values():
            worker.close()


def measured(workers, paths, rounds, group, words):
    for threads in (1, 2):
        command = [paths["worker"], paths["f16"], "minilm", OUT / "inference-texts.json"]
        workers[threads] = Worker(group.inside(command) if group else command, {"FDK_THREADS": str(threads)})
    rows = []
    for case, times in CASES.items():
        taken = {1: [], 2: []}
        for number in range(rounds + 1):
            for threads in (1, 2) if number % 2 else (2, 1):
                # The mean: what a quota takes away, it takes from a few calls.
                mean = statistics.fmean(workers[threads].ask(case, times))
                if number:
                    taken[threads].append(mean)
        ratio = statistics.median(two / one for one, two in zip(taken[1], taken[2]))
        one, two = (1e3 * statistics.median(taken[threads]) for threads in (1, 2))
        say(f"{words:24} {case:11} one thread {one:8.2f} ms, two {two:8.2f} ms, ratio {ratio:.2f} (aim ≤ 1.10)")
        rows.append({"where": words, "case": case, "one_ms": one, "two_ms": two, "ratio": ratio})
    return rows


def rows(paths, quick):
    rounds, rows = 5 if quick else 11, []
    for cores in (0.25, 0.5, 1):
        words = f"a quota of {cores} cores"
        try:
            group = Group(cores)
        except OSError as error:
            say(f"NOT RUN: {words}: {error}")
            rows.append({"where": words, "not_run": str(error)})
            continue
        try:
            rows += compared(paths, rounds, group, words)
        finally:
            with contextlib.suppress(OSError):
                group.remove()
    for count in range(1, (os.cpu_count() or 1) + 1):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
        try:
            rows += compared(paths, rounds, None, f"{count} busy neighbours" if count > 1 else "a busy neighbour")
        finally:
            for process in busy:
                process.kill()
                process.wait()
    return rows
