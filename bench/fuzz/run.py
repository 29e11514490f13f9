"""A bounded run over one parser. Input number n of a seed is always the same, so that a run goes on where it ended."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.fuzz.judge import Check, Parser, judged, kind_of
from bench.fuzz.mutations import mutated

_MOST_KINDS = 20
_SAVE_SECONDS = 10.0
_MINIMISE_SECONDS = 20.0


@dataclass(slots=True)
class Result:
    """What a run has done. `found`: by kind, what is wrong and the file that has the input."""

    parser: str
    seed: int
    inputs: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    found: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        figures = f"{self.inputs} inputs in {self.seconds:.0f} s, the slowest {1000 * self.slowest:.0f} ms"
        return f"{self.parser}, seed {self.seed}: {figures}, {len(self.found)} findings"


def run(parser: Parser, seed: int, *, seconds: float, most: int | None = None, state: Path | None = None) -> Result:
    """Reads changed inputs for so long, or so many, in all runs with this `state` together. Findings become files in
    the parser's corpus where there is a `state`."""
    result = _resumed(parser, seed, state)
    seeds = parser.seeds()
    begun, saved = time.monotonic() - result.seconds, time.monotonic()
    for data in _inputs(parser, seed, seeds, result.inputs):
        if result.seconds >= seconds or result.inputs == most or len(result.found) == _MOST_KINDS:
            break
        verdict = judged(parser.check, data)
        result.inputs += 1
        result.slowest = max(result.slowest, verdict.cpu_seconds)
        if verdict.wrong is not None:
            _note(parser, result, data, verdict.wrong, keep=state is not None)
        result.seconds = time.monotonic() - begun
        if state is not None and time.monotonic() - saved > _SAVE_SECONDS:
            saved = time.monotonic()
            state.write_text(json.dumps(asdict(result)), "utf-8")
    if state is not None:
        state.write_text(json.dumps(asdict(result)), "utf-8")
    return result


def _resumed(parser: Parser, seed: int, state: Path | None) -> Result:
    if state is None or not state.exists():
        return Result(parser.name, seed)
    return Result(**json.loads(state.read_text("utf-8")))


def _inputs(parser: Parser, seed: int, seeds: list[bytes], begin: int) -> Iterator[bytes]:
    number = begin
    while True:
        rng = random.Random(f"{seed}/{number}")
        yield mutated(rng, seeds, parser.words, as_json=parser.as_json)
        number += 1


def _note(parser: Parser, result: Result, data: bytes, wrong: str, *, keep: bool) -> None:
    kind = kind_of(wrong)
    if kind in result.found:
        return
    result.found[kind] = [wrong, ""]
    if keep:
        small = minimised(parser.check, data, kind)
        path = parser.corpus / f"found-{hashlib.sha256(small).hexdigest()[:12]}"
        parser.corpus.mkdir(parents=True, exist_ok=True)
        path.write_bytes(small)
        result.found[kind][1] = path.name


def minimised(check: Check, data: bytes, kind: str, seconds: float = _MINIMISE_SECONDS) -> bytes:
    """A smaller input that is wrong in the same way: without every part that it does not need."""
    until = time.monotonic() + seconds
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data) and time.monotonic() < until:
            shorter = data[:at] + data[at + size :]
            wrong = judged(check, shorter).wrong
            if wrong is not None and kind_of(wrong) == kind:
                data = shorter
            else:
                at += size
        size //= 2
    return data
