"""What is done where a build fails, before its pack is told: requirements that its package does not name, and system
packages that it lacks, if these may be installed.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Callable, Dict, FrozenSet, List, Mapping, Sequence, Set, Tuple

from app.runner.context import Context
from app.runner.process.children import Finished
from app.runner.requirements.lines import name_of
from app.runner.resolve.address_gate import AddressGate
from app.runner.resolve.build_gate import BuildGate
from app.runner.resolve.build_remedies import BuildRemedies
from app.runner.resolve.system_packages import SystemPackages

_BUILD = re.compile(r"[Ff]ailed to build|build backend returned an error")
_making = threading.Lock()


class BuildHelp:
    """One run's, for every uv of it. From any thread."""

    def __init__(
        self, remedies: BuildRemedies, system: SystemPackages, gate: BuildGate, addresses: AddressGate
    ) -> None:
        self._gate = gate
        self._addresses = addresses
        self._remedies = remedies
        self._system = system

    @classmethod
    def of(cls, context: Context) -> BuildHelp:
        """The run's, made at its first use; there is an environment by then."""
        with _making:
            known = context.shared.get(cls.__name__)
            if not isinstance(known, cls):
                known = context.shared[cls.__name__] = cls(
                    BuildRemedies.of(context), SystemPackages.of(context), BuildGate.of(context), AddressGate(context)
                )
            return known

    def attempt(self, program: str, run: Callable[[], Finished]) -> Finished:
        """`run` of this uv, and again for as long as something new may help. Raises what it raises, and OSError."""
        return self._addresses.judged(self._attempt(program, run))

    def _attempt(self, program: str, run: Callable[[], Finished]) -> Finished:
        finished = run()
        if self._gate.is_in_the_way(finished):
            if not self._gate.asked(finished.output):
                return self._gate.marked(finished)
            finished = run()
        brought: FrozenSet[str] = frozenset()
        while not finished.ok and finished.stopped is None:
            remedy = self._remedies.learn(finished, program)
            if remedy is None:
                fresh = self._system.bring(finished.output, brought) if _BUILD.search(finished.output) else frozenset()
                if not fresh:
                    break
                brought |= fresh
                finished = run()
                continue
            again = run()
            if not self._remedies.judge(remedy, again):
                break
            finished = again
        return finished

    def settings(self, argv: Sequence[str], environ: Mapping[str, str]) -> Tuple[List[str], Dict[str, str]]:
        """More options and variables for a command of uv's. `environ`: those that it has."""
        self._addresses.note(argv)
        names = sorted(_names_in(argv)) if "--no-deps" in argv else None
        return [*self._remedies.arguments(), *self._gate.options(argv)], self._remedies.environ(names, environ)


def _names_in(argv: Sequence[str]) -> FrozenSet[str]:
    """The packages that a command's files name; of a file that is gone none."""
    found: Set[str] = set()
    for option, path in zip(argv, argv[1:]):
        if option == "-r":
            with suppress(OSError):
                found.update(map(name_of, Path(path).read_text("utf-8", "replace").splitlines()))
    return frozenset(found - {""})
