"""Every state in which a run's page can be, each by one name: `show(stage, "cut", 34)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from app.protocol.repairs import PackageMove, Repair, RepairState
from test.support.stage import Stage, restart, rollback, scenario
from test.support.stage.casting import cast
from test.support.stage.machine import Machine
from test.support.waiting import wait_until


def show(stage: Stage, state: str, packs: int = 34) -> str:
    """Brings a task into this state; its id (of the workflow, for `host_key`). Raises KeyError for an unknown state."""
    return _turned(stage, state, STATES[state](stage, packs))


def show_all(stage: Stage, states: Iterable[str], packs: int = 34) -> dict[str, str]:
    """Tasks in these states, by the state: quicker than one after the other."""
    with stage.one_restart():
        held = {state: STATES[state](stage, packs) for state in states if state in HELD}
    return {
        state: _turned(stage, state, held[state]) if state in held else show(stage, state, packs) for state in states
    }


def _turned(stage: Stage, state: str, task_id: str) -> str:
    """Once it goes on, something happens to it."""
    if state == "cut":
        stage.machine_of(task_id).cut()
        _stated(stage, task_id, state="interrupted")
    if state == "stopping":
        stage.run(task_id).obeys = False
        stage.service.post(f"/tasks/{task_id}/cancel", {})
        _stated(stage, task_id, state="cancelling")
    return task_id


def _played(stage: Stage) -> Machine:
    """A machine on which whatever follows is played at twice its speed."""
    machine = stage.machine()
    machine.speed = 2.0
    return machine


def _queued(stage: Stage, packs: int) -> str:
    machine = _played(stage)
    stage.live(scenario(packs), until="half", machine=machine)
    return _stated(stage, stage.start(scenario(packs), machine=machine), message_code="waiting_for_install")


def _connecting(stage: Stage, packs: int) -> str:
    machine = _played(stage)
    machine.hold_greeting()
    return _stated(stage, stage.start(scenario(packs), machine=machine), state="running")


def _waiting(stage: Stage, packs: int) -> str:
    machine = _played(stage)
    machine.cut()
    task_id = stage.start(scenario(packs), machine=machine, options={"wait_seconds": 3600})
    return _stated(stage, task_id, message_code="waiting_for_instance")


def _host_key(stage: Stage, packs: int) -> str:
    machine = _played(stage)
    assert stage.service.post("/ssh/test", {"ssh_connection": machine.command}).json()["success"]
    machine.change_key()
    workflow_id = stage.workflow(scenario(packs), machine=machine)
    wait_until(lambda: stage.service.get("/workflow/state", workflow_id=workflow_id)["state"] == "blocked", 20)
    return workflow_id


def _at(mark: str, **fates: Any) -> Callable[[Stage, int], str]:
    """A run that stands still at a mark."""

    def held(stage: Stage, packs: int) -> str:
        played = scenario(packs, **fates)
        at = played.until(mark)
        return stage.live(played, until=at, ago=at + 4, machine=_played(stage))

    return held


def _running(stage: Stage, packs: int) -> str:
    return stage.live(scenario(packs, failed=packs // 12, problem=1), speed=1.0, machine=_played(stage))


def _stalled(stage: Stage, packs: int) -> str:
    """The clones that go on have brought nothing for three minutes; the machine answers."""
    played = scenario(packs, failed=1)
    return stage.live(played, until="half", ago=played.until("half") + 180, machine=_played(stage))


def _building(stage: Stage, packs: int) -> str:
    played = scenario(packs, failed=2, build_seconds=900)
    at = played.until("building") + 600
    return stage.live(played, until=at, ago=at + 4, machine=_played(stage))


def _ended(*, lost: bool = False, **fates: Any) -> Callable[[Stage, int], str]:
    def shown(stage: Stage, packs: int) -> str:
        return stage.ended(scenario(packs, **fates), ago=900, machine=_played(stage), lost=lost)

    return shown


def _repairable(stage: Stage, packs: int) -> str:
    found = Repair(
        RepairState.FOUND,
        (PackageMove("diffusers", "0.35.1", "0.34.0"),),
        loads=_failing(packs),
        starts=4,
        seconds=41.0,
    )
    return stage.ended(scenario(packs, failed=3, repair=found), ago=900, machine=_played(stage))


def _failing(packs: int) -> tuple[str, ...]:
    return tuple(cast(packs, failed=3).failures)[:1]


def _none(stage: Stage, packs: int) -> str:
    return stage.ended(scenario(packs, failed=packs), ago=900, machine=_played(stage))


def _put_back(stuck: int) -> Callable[[Stage, int], str]:
    def shown(stage: Stage, packs: int) -> str:
        machine = _played(stage)
        install = stage.ended(scenario(packs, failed=2), ago=1800, machine=machine)
        return stage.ended(rollback(packs, stuck=stuck), ago=600, machine=machine, rollback_of=install)

    return shown


def _restarted(*, done: bool = True, missing: int = 0) -> Callable[[Stage, int], str]:
    def shown(stage: Stage, packs: int) -> str:
        machine, played = _played(stage), scenario(packs)
        install = stage.ended(played, ago=1800, machine=machine)
        names = tuple(pack.name for pack in played.packs[3 : 3 + missing])
        again = restart(expected=packs, missing=names, done=done)
        return stage.ended(again, ago=600, machine=machine, restart_of=install)

    return shown


def _retried(stage: Stage, packs: int) -> str:
    machine, first = _played(stage), scenario(packs, failed=3)
    install = stage.ended(first, ago=1800, machine=machine)
    failed = stage.failed_of(install)
    return stage.ended(scenario(of=failed, failed=1), ago=600, machine=machine, retry_of=install)


def _stated(stage: Stage, task_id: str, **values: str) -> str:
    wait_until(lambda: values.items() <= stage.service.progress(task_id).items(), 20, f"{task_id}: {values}")
    return task_id


STATES: dict[str, Callable[[Stage, int], str]] = {
    "queued": _queued,
    "connecting": _connecting,
    "waiting": _waiting,
    "host_key": _host_key,
    "question": _at("question", question=True),
    "running": _running,
    "cloning": _at("half", failed=1),
    "stalled": _stalled,
    "installing": _at("installing", failed=1),
    "building": _building,
    "verifying": _at("verifying", failed=1),
    "cut": _at("half", failed=1),
    "stopping": _at("half"),
    "ready": _ended(),
    "partial": _ended(failed=3, problem=1, skipped=1),
    "problems": _ended(problem=3),
    "repairable": _repairable,
    "unchecked": _ended(verify=False),
    "nothing": _none,
    "failed": _ended(end="disk_full"),
    "no_comfyui": _ended(end="ui_home_not_found"),
    "lost": _ended(lost=True),
    "stopped": _ended(end="cancelled"),
    "planned": _ended(plan_only=True),
    "planned_failed": _ended(plan_only=True, failed=2),
    "put_back": _put_back(0),
    "put_back_incomplete": _put_back(2),
    "restarted": _restarted(),
    "restarted_without": _restarted(missing=2),
    "restart_failed": _restarted(done=False),
    "retried": _retried,
}
"""From before the run's begin to each kind of end."""
HELD = frozenset({"question", "cloning", "stalled", "installing", "building", "verifying", "cut", "stopping"})
"""In these a run goes on that was begun some time ago."""
