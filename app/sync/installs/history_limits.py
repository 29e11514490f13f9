"""What goes when there is too much of it: the oldest of what has ended, never what has not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from app.domain.limits import IDEMPOTENCY_SECONDS
from app.storage.history import Past

_ROUNDS = 10
"""How often others are chosen in place of those that must stay."""


def oldest_over(
    past: Sequence[Past], most: int, now: float, needed: Callable[[Sequence[Past], set[str]], set[str]]
) -> set[str]:
    """The installs that ended first, of a history of more than `most` (0: as many as there are). One whose idempotency
    key still counts stays, so that the key does not start a second install, and so does what is `needed` by one that
    stays: those of a history that would go."""
    over = len(past) - most
    if most <= 0 or over <= 0:
        return set()
    since = now - IDEMPOTENCY_SECONDS
    ended = [(each.ended_at, each.task_id) for each in past if each.ended_at is not None and each.keyed_at < since]
    ahead = [task_id for _, task_id in sorted(ended)]
    going: set[str] = set()
    for _ in range(_ROUNDS):
        going = set(ahead[:over])
        staying = needed(past, going)
        if not staying:
            break
        ahead = [task_id for task_id in ahead if task_id not in staying]
    return going


def logs_over(sizes: Mapping[str, int], ends: Mapping[str, float | None], most: int) -> tuple[list[str], bool]:
    """The tasks whose logs go so that all together have `most` bytes (0: as many as there are), those that ended first
    before the others; and whether what is left is still more: logs of tasks that have not ended."""
    total = sum(sizes.values())
    going: list[str] = []
    if most <= 0:
        return going, False
    ended = [(at, task_id) for task_id in sizes if (at := ends.get(task_id, 0.0)) is not None]
    for _, task_id in sorted(ended):
        if total <= most:
            break
        total -= sizes[task_id]
        going.append(task_id)
    return going, total > most
