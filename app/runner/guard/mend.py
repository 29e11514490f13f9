"""Putting an environment right after packs' own code changed it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import AbstractSet, Callable, Collection, List, Optional, Sequence, Set

from app.runner.context import Context
from app.runner.environment import installed_files
from app.runner.environment.environment import Environment
from app.runner.environment.freeze import Freeze, freeze_of, to_record
from app.runner.environment.inspection import inspect_again
from app.runner.environment.same_library import family_of, members
from app.runner.environment.torch_family import is_protected
from app.runner.guard.one_library import SideBySide, side_by_side
from app.runner.guard.required import Requirement
from app.runner.guard.way_back import WayBack, way_back
from app.runner.process.execute import Execute
from app.runner.resolve.put_back import Restorer, Step

_SIDE_BY_SIDE = (
    "left %s, which overwrite each other's files, so that nobody knows which of them is used. Neither could be "
    "installed again instead."
)


@dataclass
class Mended:
    """`now`: the environment as it is after that; `restored`: what was put back and why; `chosen`: which of several
    packages of one library stayed; `left`: what does not fit and cannot be helped; `failed`: what could not be put
    back; `unrestored`: its names; `side_by_side`: variants that could not be brought apart. A
    sentence each."""

    now: Environment
    restored: List[str] = field(default_factory=list)
    chosen: List[str] = field(default_factory=list)
    left: List[str] = field(default_factory=list)
    failed: List[str] = field(default_factory=list)
    unrestored: Set[str] = field(default_factory=set)
    side_by_side: List[str] = field(default_factory=list)

    def in_words(self) -> str:
        """What became of it."""
        parts = [*self.chosen]
        if self.restored:
            parts.append("Nodeferry put back %s" % ", ".join(self.restored))
        if self.left:
            parts.append("What it brought does not get all that it required: %s" % "; ".join(self.left))
        if not parts and not self.failed and not self.side_by_side:
            parts.append("Nothing that was there needs it otherwise, so it was left")
        return "".join(" %s." % part for part in parts)


class Mender:
    """For the environment of one run. Its methods raise RunCancelled."""

    def __init__(self, context: Context, run: Execute, uv: Callable[[], Optional[str]]) -> None:
        """`uv`: looks for one where something has to be put back; None where there is none."""
        self._context = context
        self._run = run
        self._uv = uv
        self.locked: Collection[str] = ()
        """The packages of the run's lock, by canonical names."""

    def mend(
        self,
        was: Environment,
        now: Environment,
        required: Sequence[Requirement],
        *,
        lost: AbstractSet[str] = frozenset(),
    ) -> Mended:
        """Puts back what broke something, and keeps one package of each library. `lost`: packages that have to be put
        back in any case."""
        done = self.keep_one_of_each(was, now, required)
        planned = way_back(was, done.now, required, lost=sorted(lost))
        done.left = planned.left
        self.go_back(was, planned, done)
        return done

    def keep_one_of_each(self, was: Environment, now: Environment, required: Sequence[Requirement]) -> Mended:
        """Of each library one package stays."""
        done = Mended(now)
        pairs = side_by_side(was, now, required, gpu=self._context.has_gpu, locked=self.locked)
        if pairs:
            restorer = self._restorer(now)
            for pair in pairs:
                self._keep_one(restorer, pair, done)
            with suppress(OSError):
                done.now = inspect_again(now, self._run)
        return done

    def go_back(self, was: Environment, planned: WayBack, done: Mended) -> None:
        """Brings packages back as they were in `was`, and looks again."""
        if not planned.back:
            return
        before = freeze_of(to_record(was))
        try:
            self._uncover(was, planned, done)
            self._put_back(planned, before, done)
            done.now = inspect_again(done.now, self._run)
        except OSError as exc:
            done.failed.append("%s could not be put back: %s." % (", ".join(planned.back), exc.strerror or exc))
            return
        after = freeze_of(to_record(done.now))
        for name, why in planned.back.items():
            if after.get(name) != before[name]:
                done.unrestored.add(name)
            if after.get(name) == before[name]:
                done.restored.append("%s (%s)" % (before[name], why))
            elif not (is_protected(name) and self._context.verifies):  # Verify tells that, and fails
                is_now = "%s is installed" % after[name].version if name in after else "it is not installed"
                done.failed.append("%s could not be put back, and %s: %s." % (before[name], is_now, why))

    def _keep_one(self, restorer: Restorer, pair: SideBySide, done: Mended) -> None:
        """All are removed, since each removal takes files of the others along, and the one that stays is installed
        again."""
        for candidate in pair.candidates:
            if restorer.exchange(pair.present, candidate):
                others = [str(found) for found in pair.present if found != candidate]
                text = "%s overwrite each other, so %s was installed anew and %s removed"
                done.chosen.append(text % (pair, candidate, " and ".join(others)))
                return
        done.side_by_side.append(_SIDE_BY_SIDE % str(pair))

    def _uncover(self, was: Environment, planned: WayBack, done: Mended) -> None:
        """What is still there, in the system's folder, behind another version in the environment or among the user's
        own packages, needs no more than that this one goes. uv does not look among the user's own, pip does."""
        for restorer in (self._restorer(done.now), Restorer(self._context, done.now, None)):
            covered = [name for name in planned.back if _is_covered(was, done.now, name)]
            if covered:
                restorer.remove(covered)
                done.now = inspect_again(done.now, self._run)

    def _put_back(self, planned: WayBack, before: Freeze, done: Mended) -> None:
        restorer = self._restorer(done.now)
        after = freeze_of(to_record(done.now))
        steps = []
        for name in planned.back:
            if after.get(name) == before[name] and name not in planned.lost:
                continue
            present = members(family_of(name), after)
            if set(present) - {name}:  # another package of the same library makes room
                restorer.exchange([after[other] for other in present], before[name])
            else:
                steps.append(Step(after.get(name), before[name]))
        restorer.put_back(steps)

    def _restorer(self, environment: Environment) -> Restorer:
        return Restorer(self._context, environment, self._uv())


def _is_covered(was: Environment, now: Environment, name: str) -> bool:
    before, after = was.distributions[name], now.distributions.get(name)
    if after is None or after.location == before.location:
        return False
    copies = installed_files.find([before.location], [name]).get(name, [])
    return any(copy.version == before.version for copy in copies)
