"""The runs of a campaign, kept in a file as they come (a line of JSON a run), and the table of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.chaos.faults import KINDS
from bench.chaos.play import Played

FILE = "runs.jsonl"
_COLUMNS = ("runs", "right", "hit", "interrupted", "restarts", "retried", "wrong")


class Results:
    """What was played so far. For one thread at a time."""

    def __init__(self, folder: Path, seed: int, *, resume: bool) -> None:
        """Raises ValueError when what is to be gone on with has another seed."""
        self._path = folder / FILE
        self.played: dict[int, Played] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if resume and self._path.exists():
            self._read(seed)
            return
        if self._path.exists():
            self._path.replace(folder / f"previous-{FILE}")
        self._write({"seed": seed})

    def add(self, run: Played) -> None:
        """Keeps a run."""
        self.played[run.number] = run
        self._write(run.to_json())

    def _write(self, line: object) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _read(self, seed: int) -> None:
        text = self._path.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # a line that was cut
            self._path.write_text(whole, "utf-8")
        first, *lines = [json.loads(line) for line in whole.splitlines()] or [{}]
        if first.get("seed") != seed:
            raise ValueError(f"{self._path} has the seed {first.get('seed')}, not {seed}.")
        for raw in lines:
            run = Played(**{**raw, "wrong": tuple(raw["wrong"]), "left": tuple(raw["left"])})
            self.played[run.number] = run


def is_right(run: Played) -> bool:
    """Whether it ended as it must, with nothing left."""
    return not run.wrong and not run.left


def table(runs: Sequence[Played], seed: int) -> Iterable[str]:
    """A line a fault, then what was wrong, with how to repeat it."""
    yield _line("fault", _COLUMNS)
    for name in [*(kind.name for kind in KINDS), "all"]:
        of_kind = [run for run in runs if name in (run.kind, "all")]
        if not of_kind:
            continue
        right = sum(map(is_right, of_kind))
        counts = [len(of_kind), right, sum(run.struck for run in of_kind), sum(run.interrupted for run in of_kind)]
        counts += [sum(run.restarts for run in of_kind), sum(run.retried for run in of_kind), len(of_kind) - right]
        yield _line(name, counts)
    left = [text for run in runs for text in run.left]
    yield f"left behind: {len(left)} (processes, threads, locks, staged folders, drafts)"
    for run in runs:
        if not is_right(run):
            how = f"--seed {seed} --only {run.number}"
            yield f"WRONG: run {run.number}, {run.kind} ({run.notes}) at {run.moment:.0%}: {how}"
            yield from (f"    {text}" for text in (*run.wrong, *run.left))


def _line(name: str, cells: Sequence[object]) -> str:
    return f"{name:30}" + "".join(f" {cell!s:>{len(head)}}" for cell, head in zip(cells, _COLUMNS, strict=True))
