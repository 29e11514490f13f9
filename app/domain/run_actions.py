"""What can be done with a run now: each kind of end has its own. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.domain.run_rows import Rows
from app.domain.run_summary import LIVE_KINDS, Kind, Summary


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done. `task_id`: the task that it is asked of; None: the run itself, or nothing."""

    name: str
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What actions depend on. `installed_by`: the newest task that has installed and was not put back; `restarted`:
    ComfyUI has been restarted since; `suggestion`: other versions were found with which more packs load;
    `passes`: to start a run again can help that came to no end of its own; `first`: what failed last, and is to be
    tried again first."""

    summary: Summary
    rows: Rows = field(default_factory=Rows)
    installed_by: str | None = None
    locked_by: str | None = None
    restarted: bool = False
    suggestion: bool = False
    passes: bool = False
    first: str = ""


def actions_of(facts: Facts) -> list[Action]:
    """The actions, the one for this moment first; that one is the primary one, where `has_primary` says so."""
    kind = facts.summary.kind
    if kind is Kind.STOPPING:
        return []
    if kind in LIVE_KINDS:
        return [Action("stop")]
    again = Action("install_again")
    if kind in (Kind.PUT_BACK, Kind.PLANNED) and facts.installed_by is None:
        return [again]
    if facts.first == "rollback":  # what is there is neither as before nor as after
        return [Action("rollback", facts.installed_by), again]
    found = [*_repeating(facts), *_of_comfyui(facts), again]
    if facts.installed_by is not None and facts.rows.counts.total:
        found.append(Action("rollback", facts.installed_by))
    if facts.locked_by is not None:
        found.append(Action("lock", facts.locked_by))
    return sorted(found, key=lambda action: action.name != facts.first)


def has_primary(facts: Facts) -> bool:
    """Whether the first action is what this moment is for; to stop never is."""
    return facts.summary.kind not in LIVE_KINDS


def _repeating(facts: Facts) -> list[Action]:
    """What may make more packs ready. After a put back there is nothing to repeat."""
    if facts.summary.kind is Kind.PUT_BACK:
        return []
    found = [Action("repair", facts.installed_by)] if facts.suggestion else []
    unwell = facts.rows.counts.ready < facts.rows.counts.total
    if facts.installed_by is not None and ((unwell and facts.rows.retryable) or facts.passes):
        found.append(Action("retry", facts.installed_by))
    return found


def _of_comfyui(facts: Facts) -> list[Action]:
    """Restart, then open; open first where it has the packs already."""
    if facts.installed_by is None or not facts.rows.ready:
        return []
    restart, open_it = Action("restart", facts.installed_by), Action("open", facts.installed_by)
    return [open_it, restart] if facts.restarted else [restart, open_it]
