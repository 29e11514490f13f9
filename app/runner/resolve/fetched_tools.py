"""The tools that a run fetches and starts for itself: which version, and the SHA-256 of each file that may be it.

pip and uv compare what an index or mirror serves with these before they install it. To take a newer version, replace it
with all its hashes; the index's page of the project has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Tuple

from app.runner.process.private_files import private

_MISMATCH = ("DO NOT MATCH THE HASHES", "Hash mismatch for", "Hash-checking")


@dataclass(frozen=True)
class Tool:
    """A release on the package index, and the hashes of its wheels."""

    name: str
    version: str
    sha256: Tuple[str, ...]

    @property
    def line(self) -> str:
        """It as a line of a requirements file."""
        return " ".join(["%s==%s" % (self.name, self.version), *("--hash=sha256:%s" % each for each in self.sha256)])

    def arguments(self, folder: Path) -> Tuple[str, ...]:
        """The options by which pip and uv install this release and nothing else. `folder`: of the run's user alone, for
        a file. Raises OSError."""
        path = folder / ("%s.txt" % self.name)
        with open(str(path), "w", encoding="ascii", opener=private) as file:
            file.write(self.line + "\n")
        return ("--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(path))


UV = Tool(
    "uv",
    "0.13.9",
    (
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",  # manylinux_2_17 x86_64
        "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",  # musllinux_1_1 x86_64
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",  # manylinux_2_17, musllinux_1_1 aarch64
        "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",  # manylinux_2_28 aarch64
        "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",  # macOS x86_64: for `make lock`
        "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",  # macOS arm64
    ),
)
PIP = Tool("pip", "26.0.1", ("bdb1b08f4274833d62c1aa29e20907365a2ceb950410df15fc9521bad440122b",))
"""The newest that runs on Python 3.9."""


def is_refused(output: str) -> bool:
    """Whether pip or uv was served a file with another hash, and has not installed it."""
    return any(words in output for words in _MISMATCH)
