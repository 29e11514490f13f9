"""uv beside other work: it resolves, fetches and builds into its cache, and installs nothing into the environment."""

from __future__ import annotations

import logging
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Mapping, Sequence

from app.runner.context import Context
from app.runner.daemon.children import Finished
from app.runner.packages.plan import Wanted, write_lines
from app.runner.packages.requirement_files import constraints
from app.runner.packages.resolver import frozen
from app.runner.packages.shadow import Shadow
from app.runner.packages.uv import Uv

_log = logging.getLogger("runner")


class Beside:
    """From any thread. What fails here is told when somebody needs it."""

    def __init__(
        self, context: Context, program: str, folder: Path, installed: Mapping[str, str], over: threading.Event
    ) -> None:
        """`folder`: for its files; `over`: ends what runs, as a cancel does. Raises OSError."""
        children = context.children.until(over)
        python, limits = context.python, context.tuning.packages
        self._uv = Uv(children, program, python, folder, limits)
        self._gentle = Uv(children, program, python, folder, limits, gently=True)
        self._folder = folder
        self._log = folder / "early.log"
        self._shadow = Shadow(folder / "shadow", python["paths"])
        self._protections, self._frozen = folder / "constraints.txt", folder / "frozen.txt"
        write_lines(self._protections, constraints(context.packages, context.ui_home))
        write_lines(self._frozen, frozen(installed))
        self._lock = threading.Lock()
        self._number = 0

    def resolve(self, items: Sequence[Wanted], *, builds: bool) -> Finished:
        """What would be installed: from wheels, with every installed package as it is; or with `builds`, when others
        have the machine first. Raises RunCancelled, OSError."""
        uv, held = (self._gentle, []) if builds else (self._uv, [self._frozen])
        with self._shadow.lent() as seen:
            files = [item.file for item in items]
            held = [self._protections, *held]
            return uv.plan(files, self._log, constraints=held, builds=builds, target=seen)

    @contextmanager
    def fetched(self, pins: Sequence[str], items: Sequence[Wanted], *, builds: bool) -> Iterator[None]:
        """Fetches (with `builds`: and builds) exactly these, and tidies up at the end. Raises RunCancelled."""
        with self._lock:
            self._number += 1
            place = self._folder / ("fetched-%d" % self._number)
        uv = self._gentle if builds else self._uv
        with fetched(uv, place, [*options_of(items), *pins], self._log, builds=builds):
            yield


def options_of(items: Sequence[Wanted]) -> List[str]:
    """The lines that say where these packs' packages are, each once."""
    return list(dict.fromkeys(line for item in items for line in item.options))


@contextmanager
def fetched(uv: Uv, place: Path, lines: Sequence[str], log: Path, *, builds: bool) -> Iterator[None]:
    """Brings what the lines say into uv's cache before the block. uv does so only by installing somewhere: links to the
    cache go into `place`, which is thrown away after it. That it fails is in the log. Raises RunCancelled."""
    file = place.with_suffix(".txt")
    try:
        try:
            write_lines(file, lines)
            uv.install(file, log, _ignore, builds=builds, target=place)
        except OSError as exc:
            _log.warning("nothing was fetched beside: %s", exc)
        yield
    finally:
        shutil.rmtree(str(place), ignore_errors=True)


def _ignore(line: str) -> None:
    """Nobody waits for it yet."""
