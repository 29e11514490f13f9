"""uv beside other work: it resolves and fetches into its cache, and installs nothing into the environment."""

from __future__ import annotations

import logging
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, FrozenSet, Iterator, List, Mapping, Optional, Sequence

from app.runner.context import Context
from app.runner.process.children import Finished
from app.runner.resolve.metadata_mirror import MetadataMirror
from app.runner.resolve.plan import PackRequirements, Plan, write_lines
from app.runner.resolve.plan_details import weigh
from app.runner.resolve.protection import constraints
from app.runner.resolve.resolver import frozen
from app.runner.resolve.uv import Uv

_log = logging.getLogger("runner")


class BackgroundUv:
    """From any thread. What fails here is told when somebody needs it."""

    def __init__(
        self, context: Context, program: str, folder: Path, installed: Mapping[str, str], *, over: threading.Event
    ) -> None:
        """`folder`: for its files; `over` ends what runs, as a cancel does. Raises OSError."""
        children, environment = context.children.until(over), context.environment
        assert environment is not None
        self._uv = Uv(children, program, environment, folder, context.limits.packages)
        self._low_priority_uv = self._uv.low_priority()
        self._folder = folder
        self._timeout = context.limits.resolve_builds
        self._log = folder / "early.log"
        self._mirror = MetadataMirror(folder / "shadow", environment.paths)
        self._protections, self._frozen = folder / "constraints.txt", folder / "frozen.txt"
        write_lines(self._protections, constraints(context.packages, context.ui_home))
        write_lines(self._frozen, frozen(installed))
        self._lock = threading.Lock()
        self._number = 0

    def resolve(self, items: Sequence[PackRequirements], *, offline: bool) -> Finished:
        """What would be installed with every installed package as it is. Raises RunCancelled, OSError."""
        with self._mirror.lent() as seen:
            files = [item.file for item in items]
            held, most = [self._protections, self._frozen], self._timeout
            return self._uv.plan(
                files,
                self._log,
                constraints=held,
                overrides=[self._mirror.unseen],
                target=seen,
                offline=offline,
                timeout=most,
            )

    def resolve_changing(self, item: PackRequirements) -> Finished:
        """What would be installed for one pack, and changed, of wheels alone. Raises RunCancelled, OSError."""
        with self._mirror.lent() as seen:
            return self._low_priority_uv.plan(
                [item.file],
                self._log,
                constraints=[self._protections],
                overrides=[self._mirror.unseen],
                target=seen,
                builds=False,
                timeout=self._timeout,
            )

    def built(self, plan: Plan) -> Optional[FrozenSet[str]]:
        """The packages of a plan that have no wheel; None where that is not known. Raises RunCancelled, OSError."""
        folder = self._folder / "weights"
        folder.mkdir(exist_ok=True, mode=0o700)
        return weigh(plan, self._uv, folder)[1]

    @contextmanager
    def fetched(self, plan: Plan) -> Iterator[bool]:
        """Fetches exactly the plan's wheels, and tidies up at the end. The block gets whether they are there. Raises
        RunCancelled."""
        with self._lock:
            self._number += 1
            place = self._folder / ("fetched-%d" % self._number)
        lines = [*options_of(plan.items), *plan.pins]
        with fetched(self._uv, place, lines, self._log, builds=False) as good:
            yield good


def options_of(items: Sequence[PackRequirements]) -> List[str]:
    """The lines that say where these packs' packages are, each once."""
    return list(dict.fromkeys(line for item in items for line in item.options))


def _ignore(line: str) -> None:
    """Nobody waits for it yet."""


@contextmanager
def fetched(
    uv: Uv, place: Path, lines: Sequence[str], log: Path, *, builds: bool, on_line: Callable[[str], None] = _ignore
) -> Iterator[bool]:
    """Brings what the lines say into uv's cache before the block, which gets whether it is there. uv does so only by
    installing somewhere: links to the cache go into `place`, which is thrown away after it. Why it failed is in the
    log. Raises RunCancelled."""
    file, good = place.with_suffix(".txt"), False
    try:
        try:
            write_lines(file, lines)
            good = uv.install(file, log, on_line, builds=builds, target=place).ok
        except OSError as exc:
            _log.warning("nothing was fetched beside: %s", exc)
        yield good
    finally:
        shutil.rmtree(str(place), ignore_errors=True)
