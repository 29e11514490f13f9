"""What was measured, and the file that keeps it: a line of JSON a measurement. A run that was cut loses nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "runs.jsonl"
Span = tuple[str, float, float]
"""What was worked on (`picture.KINDS`), from when and to when, in seconds after the command."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds after the command. `first_lane`: when every pack that agrees with the environment is installed;
    `everything`: when nothing is left to install; `verify`: what the check of imports took after that."""

    everything: float
    first_lane: float
    verify: float = 0.0
    spans: tuple[Span, ...] = ()
    cpu_seconds: float = 0.0
    """Of the runner's own process."""
    runner_seconds: float = 0.0
    """How long it lived."""
    peak_bytes: int = 0
    """Its largest resident size."""
    packages_seconds: float = 0.0
    """Until all packages are installed; of the usual script without what its scripts take."""
    scripts_seconds: float = 0.0
    """What the packs' scripts take beyond that."""
    packs_at: tuple[float, ...] = ()
    """When one more pack was installed, with its script."""
    load: float = 0.0
    """The machine's load average (a minute) when the measurement began."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """What the interpreter sees afterwards: names and versions."""
    troubles: tuple[str, ...] = ()

    @property
    def whole(self) -> float:
        """To the end, the check of imports included."""
        return self.everything + self.verify

    def until(self, packs: int) -> float | None:
        """When so many packs were installed; None if they never were."""
        return self.packs_at[packs - 1] if len(self.packs_at) >= packs else None

    @property
    def cpu_percent(self) -> float:
        """The runner's share of one core while it lived."""
        return 100 * self.cpu_seconds / self.runner_seconds if self.runner_seconds else 0.0


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What a measurement is of."""

    shape: str
    caches: str
    way: str
    latency_ms: int = 0
    """Before every answer of git and the package index."""


Finding = dict[Key, dict[int, Measured]]
"""By the number of the round."""


class Results:
    """All measurements of one bench, kept in `folder` as they come."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        """`settings`: what must be the same for measurements to belong together. Raises ValueError when those that are
        to be gone on with are others."""
        self._path = folder / FILE
        self.found: Finding = {}
        folder.mkdir(parents=True, exist_ok=True)
        if resume and self._path.exists():
            self._read(settings)
            return
        if self._path.exists():
            self._path.replace(folder / f"previous-{FILE}")
        self._write({"settings": dict(settings)})

    def has(self, key: Key, number: int) -> bool:
        """Whether it was measured in that round."""
        return number in self.found.get(key, {})

    def add(self, key: Key, number: int, run: Measured) -> None:
        """Keeps a measurement."""
        self.found.setdefault(key, {})[number] = run
        self._write({**dataclasses.asdict(key), "round": number, "run": dataclasses.asdict(run)})

    def _write(self, line: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _read(self, settings: Mapping[str, Any]) -> None:
        first, *lines = [json.loads(line) for line in _whole_lines(self._path)]
        if first.get("settings") != settings:
            raise ValueError(f"{self._path} was measured with {first.get('settings')}, not {dict(settings)}.")
        for line in lines:
            raw = line["run"]
            raw["spans"] = tuple(tuple(span) for span in raw["spans"])
            raw["troubles"] = tuple(raw["troubles"])
            raw["packs_at"] = tuple(raw["packs_at"])
            key = Key(line["shape"], line["caches"], line["way"], line["latency_ms"])
            self.found.setdefault(key, {})[line["round"]] = Measured(**raw)


def _whole_lines(path: Path) -> Iterable[str]:
    """A last line that was cut does not count, and is cut off."""
    text = path.read_text("utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, "utf-8")
    return whole.splitlines() or ["{}"]
