"""The tasks of one run, and what they come to together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.record import InstallRecord
from app.domain.run_actions import Action, Facts, actions_of, has_primary
from app.domain.run_rows import Rows
from app.domain.run_summary import Kind, Purpose, Summary, Tone, in_words, restarted, summary_of
from app.protocol import reasons
from app.protocol.repairs import RepairState
from app.protocol.states import TaskState
from app.sync.installs.progress_cache import InstallStatus

_INSTALLS = frozenset({Purpose.INSTALL, Purpose.PLAN})


@dataclass(frozen=True, slots=True)
class Task:
    """One install of a run: its record, and what is known of it now."""

    record: InstallRecord
    status: InstallStatus
    summary: Summary = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary", self.status.summary)

    @property
    def task_id(self) -> str:
        """Its id."""
        return self.record.task_id

    @property
    def purpose(self) -> Purpose:
        """What it is for."""
        return self.status.purpose


@dataclass(frozen=True, slots=True)
class Tasks:
    """The tasks of a run, oldest first; at least one."""

    all: Sequence[Task]

    @property
    def last(self) -> Task:
        """The newest one."""
        return self.all[-1]

    @property
    def live(self) -> Task | None:
        """The newest one that goes on."""
        return next((task for task in reversed(self.all) if not task.status.ended), None)

    @property
    def rows(self) -> Rows:
        """Each pack as the newest task that had it has left it; a plan counts as long as nothing else has packs."""
        done = [task for task in self.all if task.purpose is not Purpose.PLAN]
        return Rows.of(task.status.snapshot for task in done or self.all)

    @property
    def with_rows(self) -> Task:
        """The newest task that has node packs: a restart has none."""
        return next((task for task in reversed(self.all) if task.status.snapshot.nodes), self.all[0])

    @property
    def installed_by(self) -> Task | None:
        """The newest task that has installed, and was not put back."""
        undone = {
            str(task.record.request.get("rollback_of"))
            for task in self.all
            if task.purpose is Purpose.ROLLBACK and task.status.snapshot.state is TaskState.COMPLETED
        }
        found = [task for task in self.all if task.purpose in _INSTALLS and task.task_id not in undone]
        kept = [task for task in found if task.summary.kind not in (Kind.PUT_BACK, Kind.PLANNED)]
        return kept[-1] if kept else None

    @property
    def summary(self) -> Summary:
        """How the run stands: as its newest task, with the packs of all of them."""
        task = self.live or self.last
        if not task.status.ended:
            return task.summary
        summary = summary_of(task.status.snapshot, task.purpose, self.rows)
        if summary.kind is Kind.PUT_BACK and self.installed_by is not None:  # only what a retry had added
            return Summary(Kind.PARTIAL, Tone.IDLE, in_words(self.rows.counts))
        return summary

    def facts(self) -> Facts:
        """What the run's actions depend on."""
        installed = self.installed_by
        error = installed.status.snapshot.error if installed else None
        failed = installed is not None and installed.status.snapshot.state is TaskState.FAILED
        repair = installed.status.snapshot.repair if installed else None
        after = self.all[self.all.index(installed) :] if installed else ()
        return Facts(
            self.summary,
            self.rows,
            installed_by=installed.task_id if installed else None,
            locked_by=next((task.task_id for task in reversed(after) if task.status.snapshot.lock), None),
            restarted=any(restarted(task.status.snapshot) for task in after),
            suggestion=repair is not None and repair.state is RepairState.FOUND,
            passes=failed and error is not None and reasons.find(error.code).retryable,
            first=self._failed_last(),
        )

    def actions(self) -> list[dict[str, object]]:
        """What can be done with the run now, as the API shows it."""
        facts = self.facts()
        return actions_json(actions_of(facts), primary=has_primary(facts))

    def _failed_last(self) -> str:
        names = {Purpose.RESTART: "restart", Purpose.ROLLBACK: "rollback"}
        error = self.last.status.snapshot.error
        failed = self.last.status.snapshot.state is TaskState.FAILED and error is not None
        return names.get(self.last.purpose, "") if failed and error and reasons.find(error.code).retryable else ""


def actions_json(actions: Sequence[Action], *, primary: bool) -> list[dict[str, object]]:
    """As the API shows them."""
    return [
        {"name": action.name, "primary": primary and number == 0, "task_id": action.task_id}
        for number, action in enumerate(actions)
    ]
