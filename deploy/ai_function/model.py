"""What a model asks of the function that serves it, from its entry in model-assets/models.toml."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# The library, buffers, and what the allocator keeps; the function reckons the exact need and refuses less at start.
_BESIDE_WEIGHTS = 32
# Seconds of a first call: a container's start, and its weights read from a disk that has never seen them, in MB/s.
_START = 5
_COLD_READ = 50
# Tasks whose usual call computes for a good while: seconds.
_WORK = {"generate": 30, "transcribe": 30}


@dataclass(frozen=True)
class Model:
    """An entry of models.toml."""

    name: str
    task: str
    megabytes: int

    @classmethod
    def read(cls, folder: Path, name: str) -> Self | None:
        """Find the entry, in model-assets of the function's folder or of one above. A model may have none."""
        for above in (folder.resolve(), *folder.resolve().parents):
            path = above / "model-assets" / "models.toml"
            if path.is_file():
                entry = tomllib.loads(path.read_text(encoding="utf-8")).get(name)
                if entry is None:
                    return None
                size = sum(file["size"] for file in entry["files"])
                return cls(name, entry["task"], -(-size // 2**20))
        return None

    def misfits(self, memory: int, timeout: int) -> list[str]:
        """Say what is too little, with the number that would do."""
        faults = []
        least = self.megabytes + _BESIDE_WEIGHTS
        if memory < least:
            faults.append(f"memory {memory}: {self.name} has {self.megabytes} MB of files and needs {least} MB or more")
        least = _START + -(-self.megabytes // _COLD_READ) + _WORK.get(self.task, 0)
        if timeout < least:
            faults.append(
                f"timeout {timeout}: a first call of {self.task} with {self.name} may take {least} s "
                "(a cold container reads its model), and ends with 504 before that"
            )
        return faults
