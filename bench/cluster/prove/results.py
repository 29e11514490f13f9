"""The runs so far, kept in a file as they come (a line of JSON each), and the tables of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.cluster.prove.cancels import Cancels, summary
from bench.cluster.prove.play import Played


class Results:
    """Of one seed."""

    def __init__(self, folder: Path, seed: int, *, resume: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.played: dict[int, Played] = {}
        self.cancels: Cancels | None = None
        self._file = folder / f"runs-{seed}.jsonl"
        if not resume:
            self._file.unlink(missing_ok=True)
        elif self._file.exists():
            for line in self._file.read_text("utf-8").splitlines():
                if line.endswith("}"):  # one that was cut is not whole
                    self._know(json.loads(line))

    def add(self, one: Played | Cancels) -> None:
        """Keeps it."""
        raw = one.to_json()
        self._know(raw)
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(raw) + "\n")

    def _know(self, raw: dict[str, Any]) -> None:
        if "cancels" in raw:
            self.cancels = Cancels(raw["cancels"], raw["wrong"])
        else:
            self.played[raw["number"]] = Played(**raw)


def table(played: Sequence[Played], cancels: Cancels | None, seed: int) -> Iterator[str]:
    """A line a kind of fault, the sums, and what was wrong with how to repeat it."""
    kinds = Counter(fault["kind"] for one in played for fault in one.faults)
    yield f"{'fault':<38}{'times':>6}{'with fewest running':>21}{'longest, s':>12}"
    for kind, count in sorted(kinds.items()):
        of_kind = [fault for one in played for fault in one.faults if fault["kind"] == kind]
        fewest = min(fault["running"] for fault in of_kind)
        yield f"{kind:<38}{count:>6}{fewest:>21}{max(fault['seconds'] for fault in of_kind):>12.1f}"
    said = Counter[str]()
    for one in played:
        said.update(one.notes)
    sums = {
        name: sum(getattr(one, name) for one in played)
        for name in ("ended", "polls", "takeovers", "retried", "short_logs")
    }
    away = sum(one.unavailable + one.unreachable for one in played)
    minutes = sum(one.seconds for one in played) / 60
    yield f"seed {seed}: {len(played)} runs in {minutes:.1f} minutes, {sums['ended']} installs ended"
    yield f"{sums['takeovers']} takings by another; {sums['polls']} polls, {away} of them unanswered or 503"
    yield f"{sums['short_logs']} logs lack their last lines"
    yield f"{sums['retried']} tries of starts and cancels were repeated; members' logs: {dict(said)}"
    if cancels is not None:
        yield f"{len(cancels.seconds)} cancels: {summary(cancels.seconds)}"
    for text in cancels.wrong if cancels else ():
        yield f"WRONG {text}"
    for one in played:
        yield from (f"WRONG --seed {seed} --only {one.number}: {text}" for text in one.wrong)
