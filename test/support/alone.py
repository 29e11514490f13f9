"""Several pytest processes share one machine; a test marked `alone` runs while the others wait."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest


def is_alone(item: pytest.Item) -> bool:
    """Whether this test must not run beside another."""
    return item.get_closest_marker("alone") is not None


def running_order(item: pytest.Item) -> int:
    """Long tests first, so that no process is left with one at the end; those that run alone last."""
    if is_alone(item):
        return 3
    if item.get_closest_marker("long"):
        return 0
    return 1 if any(item.get_closest_marker(name) for name in ("slow", "sshd", "registry", "browser")) else 2


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Holds the machine for one test, shared or alone. `folder` is the same for all processes of a run.

    Whoever waits to be alone holds the entry meanwhile, so that no more tests start before it.
    """
    with ExitStack() as held:
        machine = held.enter_context((folder / "machine").open("w"))
        with (folder / "entry").open("w") as entry:
            fcntl.flock(entry, fcntl.LOCK_EX)
            fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
