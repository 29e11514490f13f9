"""uv beside other work: it resolves and fetches into its cache, and installs nothing into the environment."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, List, Mapping, Sequence

from app.runner.context import Context
from app.runner.process.children import Finished
from app.runner.process.removal import remove_large_tree
from app.runner.resolve.build_help import BuildHelp
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.metadata_mirror import MetadataMirror
from app.runner.resolve.plan import Details, PackRequirements, Plan, write_lines
from app.runner.resolve.plan_details import details_of, stays
from app.runner.resolve.protection import constraints, never
from app.runner.resolve.resolver import frozen
from app.runner.resolve.uv import Uv
from app.runner.resolve.wheel_sources import WheelSources

_log = logging.getLogger("runner")


class BackgroundUv:
    """From any thread. What fails here is told when somebody needs it."""

    def __init__(
        self, context: Context, program: str, folder: Path, installed: Mapping[str, str], *, over: threading.Event
    ) -> None:
        """`folder`: for its files; `over` ends what runs, as a cancel does. Raises OSError."""
        children, environment = context.children.until(over), context.environment
        assert environment is not None
        settings = InstallerSettings.of(context)
        self._uv = Uv(
            children,
            program,
            environment,
            folder,
            context.limits.packages,
            settings=settings,
            wheels=WheelSources.of(context),
            build_help=BuildHelp.of(context),
        )
        self._low_priority_uv = self._uv.low_priority()
        self._folder = folder
        self._timeout = context.limits.resolve_builds
        self._log = folder / "early.log"
        self._mirror = MetadataMirror(folder / "shadow", environment.paths)
        self._protections, self._frozen = folder / "constraints.txt", folder / "frozen.txt"
        write_lines(self._protections, constraints(context.packages, context.ui_home, settings.constraints))
        write_lines(self._frozen, frozen(installed))
        self._never, self._installed = never(context.packages), installed
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

    def details(self, plan: Plan, number: int) -> Details:
        """What can be told at once of a plan's packages. `number`: of the plan, for its files. Raises RunCancelled."""
        unseen = [*self._never, *stays(self._installed, plan.changes)]
        return details_of(plan, self._uv, self._folder / ("details-%d" % number), unseen, self._mirror.unseen)

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
        remove_large_tree(place)
