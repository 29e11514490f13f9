"""What became of each pack's requirements in this run, and how the environment came to be as it is.

Plans are carried out here, one after another; a plan that fails costs the packs that need what failed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Set

from app.protocol.events import PackagesPlanned
from app.protocol.snapshot import PlannedChange, Problem
from app.runner.context import Context
from app.runner.hints import reasons
from app.runner.hints.line_words import left_out
from app.runner.process.children import Finished
from app.runner.process.private_files import append_to_log
from app.runner.requirements.lines import canonical, name_of
from app.runner.resolve import blame
from app.runner.resolve.bad_lines import BadLines, leave_out_unknown
from app.runner.resolve.compatible_sets import hopeless, largest_set
from app.runner.resolve.installer import Applied, Applier
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.kept_versions import import_decides
from app.runner.resolve.no_builds import note_unbuilt, was_refused
from app.runner.resolve.plan import AGREES, LONG_BUILD, Change, PackRequirements, Plan
from app.runner.resolve.resolver import Resolver
from app.runner.resolve.unbuilt import plan_incomplete

_MOST_NAMED = 12
_MOST_TRIMMED = 6
"""Lines of one pack that are tried without, when it contradicts others."""
_SOURCE_HINT = "No other pack gets packages from it. If you do not trust it, leave the pack out."
Done = Callable[[PackRequirements, Optional[Problem]], None]
"""Called when a pack's requirements came to an end; from one thread at a time or two."""


class Ledger:
    """One run's. `carry_out` is called in the installing thread, one plan at a time; the rest in the planning thread,
    and what changes packs' fates only while nothing is being carried out."""

    def __init__(
        self, context: Context, resolver: Resolver, applier: Optional[Applier], done: Done, own: Sequence[str]
    ) -> None:
        """`applier`: None for plans that are not carried out; `own`: what ComfyUI requires and what is kept."""
        self._context = context
        self._resolver = resolver
        self._applier = applier
        self._done = done
        self._own = own
        self.good: List[PackRequirements] = []
        self.planned: List[PackRequirements] = []
        """Who is good once all plans are carried out."""
        self.failures: Dict[str, Problem] = {}
        self.moves = 0
        """How often something that is installed was to be replaced or removed, and how often a plan failed: what was
        planned before may not hold any more."""
        self.carried_out = 0
        self._told: Set[Change] = set()
        self._had: Dict[str, Problem] = {}
        """Packages that cannot be had, and why."""
        self._kills = 0
        self._python = context.environment.version if context.environment else ""
        self._bad_lines = BadLines(resolver.alone, self._python, context.options.allow_yanked)

    @property
    def only_plans(self) -> bool:
        """Whether nothing is carried out."""
        return self._applier is None

    def is_settled(self, item: PackRequirements) -> bool:
        """Whether a pack's requirements came to an end."""
        return item in self.good or item.name in self.failures

    def enter(self, plan: Plan) -> None:
        """It is to be carried out: from now on later plans come on top of it."""
        self.moves += any(change.old is not None for change in plan.changes)
        self._resolver.planned(plan.changes)
        self.planned += [item for item in plan.items if not item.unbuilt]

    def carry_out(self, plan: Plan) -> Applied:
        """Tells and installs a plan; called after the plans before it. Raises RunCancelled."""
        self._emit(plan)
        if self._applier is None:
            note_unbuilt(self._context, plan.items)
            self._succeed(plan.items)
            return Applied(Finished(0, b""))
        applied = self._applier.apply(plan, self.log(plan.items))
        if applied.finished.ok:
            self._resolver.carried_out(plan.changes)
            self._context.changed.update({canonical(each.package): each.new for each in plan.changes})
            self.carried_out += 1
            self._succeed(plan.items)
        return applied

    def leave_out(self, plan: Plan, applied: Applied) -> None:
        """After a plan failed: who needs what could not be fetched, built or replaced has failed. The others get
        another plan. Raises RunCancelled."""
        self.moves += 1
        self.planned = list(self.good)
        finished = applied.finished
        if self._was_killed(finished):
            return  # everything is as it was before: it is tried once more
        package, problem = applied.stuck or (blame.failed_package(finished.output), None)
        if package is None or hopeless(plan.items, finished) or package in self._resolver.blocked:
            problem = reasons.of_packages(finished)
            present = [item for item in plan.items if problem.code == "disk_full" and self._is_there(item)]
            self._succeed(present)
            self.fail([item for item in plan.items if item not in present], problem, finished)
            return
        problem = problem or blame.of_package(package, finished)
        self.cannot_be_had(package, problem)
        self.fail_wanting(plan.items, problem, finished, exact=plan.stage == AGREES, builds=plan.stage == LONG_BUILD)

    def cannot_be_had(self, package: str, problem: Problem) -> None:
        """It could not be fetched, built or replaced: nobody tries it again in this run."""
        self._had[canonical(package)] = problem
        self._resolver.unavailable(canonical(package))

    def note_failed(self, finished: Finished) -> bool:
        """As `cannot_be_had`, for the package on which a resolution failed. Whether there is one, and it is new: what
        only the network kept away is asked for again."""
        package = (
            None
            if finished.code <= 0 or finished.stopped or was_refused(finished)
            else blame.failed_package(finished.output)
        )
        if package is None or package in self._had or hopeless([], finished):
            return False
        from app.protocol.reasons import find  # a large table, and only what fails needs it

        problem = blame.of_package(package, finished)
        if find(problem.code).transient:
            return False
        self.cannot_be_had(package, problem)
        return True

    def fail_wanting(
        self,
        items: Sequence[PackRequirements],
        problem: Problem,
        finished: Finished,
        *,
        exact: bool = False,
        builds: bool = True,
    ) -> None:
        """Of these packs, those that cannot do without what cannot be had have failed. What is just being built is not
        looked at. Raises RunCancelled."""
        settled = self._resolver.at_work

        def solve(some: Sequence[PackRequirements]) -> Finished:
            return self._resolver.solve(some, exact=exact, builds=builds, base=self.good, settled=settled)

        for item in largest_set(items, solve).left:
            self._fail_or_trim(item, problem, finished)

    def refuse(self, item: PackRequirements, finished: Finished) -> None:
        """A pack that goes with nothing; it is not settled where it was changed and is to be asked for again."""
        image = InstallerSettings.of(self._context).constraints
        named = blame.named(finished.output) & self._had.keys()
        known = next((self._had[package] for package in sorted(named)), None)
        if was_refused(finished):
            note_unbuilt(self._context, [item])
            self.fail([item], plan_incomplete(item.unbuilt), finished)
            return
        problem = known or blame.of_pack(item, finished, self.planned, self._own, image)
        self._fail_or_trim(item, problem, finished)

    def leave_out_unknown(self, items: Sequence[PackRequirements], finished: Finished) -> bool:
        """Whether lines of these packs were left out, since the index has nothing of their name. Raises OSError."""
        return not finished.ok and leave_out_unknown(items, finished, self._python)

    def _fail_or_trim(self, item: PackRequirements, problem: Problem, finished: Finished) -> None:
        """What cannot be had costs the pack no other line. Raises OSError, RunCancelled."""
        if not self._bad_lines.changed(item, problem, finished, self._had) and not self._trimmed(
            item, problem, finished
        ):
            self.fail([item], blame.conflict_if_yanked(problem, finished), finished)
            return
        self._write_log(item, finished)
        if item.is_empty:
            self._succeed([item])

    def _trimmed(self, item: PackRequirements, problem: Problem, finished: Finished) -> bool:
        """Whether a line was left out without which the pack goes with the others: whether it does without, its import
        says. Raises OSError, RunCancelled."""
        if problem.code != "requirement_conflict" or not import_decides(self._context, item.result):
            return False
        asked, named = (item.lines_about(find(finished.output)) for find in (blame.required, blame.named))
        addresses = [line for line in item.lines if not name_of(line)]  # what they are called uv alone knows
        for line in list(dict.fromkeys([*asked, *named, *addresses]))[:_MOST_TRIMMED]:
            rest = replace(
                item, lines=[each for each in item.lines if each != line], file=item.file.with_suffix(".rest")
            )
            rest.write()
            if rest.is_empty or self._goes(rest):
                item.leave_out(left_out(line, problem, finished.output, self._python))
                return True
        return False

    def _goes(self, item: PackRequirements) -> bool:
        """Whether it resolves beside the good ones, whatever becomes of what is just being built."""
        settled = self._resolver.at_work
        return self._resolver.solve([item], exact=False, builds=True, base=self.good, settled=settled).ok

    def fail(self, items: Sequence[PackRequirements], problem: Problem, finished: Optional[Finished]) -> None:
        """It came to a bad end for these packs; `finished`: what was said of it, for their logs."""
        for item in items:
            self.failures[item.name] = problem
            self._write_log(item, finished)
            self._done(item, problem)

    def _write_log(self, item: PackRequirements, finished: Optional[Finished]) -> None:
        if finished is not None and finished.raw:
            append_to_log(self._context.task.node_log(item.name), finished.output + "\n")

    def log(self, items: Sequence[PackRequirements]) -> Path:
        """Where uv writes about a plan for these packs."""
        if len(items) == 1:
            return self._context.task.node_log(items[0].name)
        return self._context.task.folder / "packages.log"

    def _succeed(self, items: Sequence[PackRequirements]) -> None:
        self.good += items
        for item in items:
            self._done(item, None)

    def _was_killed(self, finished: Finished) -> bool:
        """Whether somebody else ended uv (the kernel, for want of memory), for the first time in this run."""
        self._kills += finished.code < 0 and finished.stopped is None
        return finished.code < 0 and self._kills == 1

    def _is_there(self, item: PackRequirements) -> bool:
        """Whether all that the pack needs is installed: it needed nothing new, or got it before the disk was full."""
        finished = self._resolver.solve([item], exact=False, builds=False, base=self.good)
        return finished.ok and not self._resolver.changes(finished)

    def _emit(self, plan: Plan) -> None:
        """The plan's changes, each once, before anything is changed."""
        fresh = [change for change in plan.changes if change not in self._told]
        self._told.update(fresh)
        if fresh:
            told = Plan(plan.stage, plan.items, fresh).described(plan.details or self._resolver.details(plan))
            self._context.journal.emit(PackagesPlanned(told))
            self._tell_sources(plan, told)

    def _tell_sources(self, plan: Plan, told: Sequence[PlannedChange]) -> None:
        """What does not come from the registry, since a pack names a place of its own."""
        found: Dict[str, List[str]] = {}
        for change in told:
            if change.source:
                found.setdefault(change.source, []).append("%s %s" % (change.package, change.new))
        for place, packages in sorted(found.items()):
            names = ", ".join(item.name for item in plan.items)
            text = "%s takes %s from %s, which its own requirements name."
            self._context.warn("pack_source", text % (names, ", ".join(packages[:_MOST_NAMED]), place), _SOURCE_HINT)
