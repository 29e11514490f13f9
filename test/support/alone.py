"""Several pytest processes share one machine; a test marked `alone` runs while the others wait, one marked `quiet`
beside one other of its kind."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest

_ROOMS = ("machine", "quiet")
"""A test is in one of them, while nobody is in the other; one that is alone has both."""
_AT_ONCE = 2
"""So many quiet ones run beside each other: one a core, where most of them only wait."""


def room(item: pytest.Item) -> str:
    """Beside which others a test may run."""
    return next((name for name in ("alone", "quiet") if item.get_closest_marker(name)), "machine")


def running_order(item: pytest.Item) -> int:
    """Long tests first, so that no process is left with one at the end; those that others must wait for last."""
    if room(item) != "machine":
        return 4 if room(item) == "alone" else 3
    if item.get_closest_marker("long"):
        return 0
    return 1 if any(item.get_closest_marker(name) for name in ("slow", "sshd", "registry", "browser")) else 2


@contextmanager
def turn(folder: Path, wanted: str, worker: str) -> Iterator[None]:
    """Holds the machine for one test. `folder` is the same for all processes of a run, `worker` this one's name.

    Whoever waits holds the entry meanwhile, so that no more tests start before it.
    """
    with ExitStack() as held:
        if wanted == "quiet":
            number = int(worker.removeprefix("gw")) % _AT_ONCE
            _lock(held.enter_context((folder / f"quiet-{number}").open("w")), fcntl.LOCK_EX)
        rooms = {name: held.enter_context((folder / name).open("w")) for name in _ROOMS}
        with (folder / "entry").open("w") as entry:
            _lock(entry, fcntl.LOCK_EX)
            for name, file in rooms.items():
                _lock(file, fcntl.LOCK_SH if name == wanted else fcntl.LOCK_EX)
            for name, file in rooms.items():
                if wanted not in {"alone", name}:
                    _lock(file, fcntl.LOCK_UN)
        yield


def _lock(file: IO[str], how: int) -> None:
    fcntl.flock(file, how)
