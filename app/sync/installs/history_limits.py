"""What goes when there is too much of it: the oldest of what has ended, never what has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.domain.limits import IDEMPOTENCY_SECONDS
from app.storage.history import Past


def oldest_over(past: Sequence[Past], most: int, now: float) -> set[str]:
    """The installs that ended first, of a history of more than `most` (0: as many as there are). One whose idempotency
    key still counts stays, so that the key does not start a second install."""
    over = len(past) - most
    if most <= 0 or over <= 0:
        return set()
    since = now - IDEMPOTENCY_SECONDS
    ended = [(each.ended_at, each.task_id) for each in past if each.ended_at is not None and each.keyed_at < since]
    return {task_id for _, task_id in sorted(ended)[:over]}


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
