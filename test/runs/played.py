"""Runs that have ended in each way, folded by the real recorder out of events and stored as a service stores them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.protocol.event_body import Body
from app.protocol.events import (
    GivenUp,
    Interrupted,
    LockMade,
    ManifestRead,
    NodeChanged,
    PhaseChanged,
    Probed,
    QuestionAnswered,
    QuestionAsked,
    RunEnded,
    RunStarted,
    StepChanged,
)
from app.protocol.manifest import NodePack
from app.protocol.run_end import PUT_BACK
from app.protocol.snapshot import Answer, AskedQuestion, Problem
from app.protocol.states import AnswerSource, NodeState, Phase, StepStatus, TaskState
from app.protocol.task_list import RESTART
from test.support.stage.history import History
from test.support.stage.scenario import restart
from test.support.stage.story import Moment, Scenario

SSH, INSTANCE = "ssh -p 12345 root@ssh6.vast.ai", "root@ssh6.vast.ai:12345"
COMMIT = "a" * 40
RETRYABLE = Problem("transfer_cut", "The git server broke off the download.", "Retry it.")
FOR_GOOD = Problem("repository_not_found", "The repository does not exist.", "Check the address.")
AS_ASKED = Problem("same_repository", "It is the same repository as another pack.", "")
PUT_BACK_NODE = Problem("rolled_back", "It was put back as it was before the run.")
READY = None
"""The fate of a pack that ComfyUI loads; others have the problem that they fail with."""


def install(*, end: TaskState = TaskState.COMPLETED, error: Problem | None = None, **fates: Problem | None) -> Scenario:
    """A run of these packs to its end."""
    bodies: list[Body] = [*_clones(fates), PhaseChanged(Phase.VERIFY, StepStatus.RUNNING)]
    for name, problem in fates.items():
        if problem is READY:
            bodies.append(NodeChanged(name, NodeState.VERIFIED, verified=True))
    bodies += [PhaseChanged(Phase.VERIFY, StepStatus.SUCCESS), LockMade({"format": 1, "node_packs": []})]
    return played(fates, *bodies, RunEnded(end, error))


def _clones(fates: Mapping[str, Problem | None]) -> Iterable[Body]:
    yield PhaseChanged(Phase.CLONE, StepStatus.RUNNING)
    for name, problem in fates.items():
        yield NodeChanged(name, NodeState.CLONING)
        if problem is None or problem.code == "lfs_pointers":
            yield NodeChanged(name, NodeState.CLONED, commit=COMMIT)
            yield NodeChanged(name, NodeState.INSTALLED, problem)
        else:
            state = NodeState.SKIPPED if problem is AS_ASKED else NodeState.FAILED
            yield NodeChanged(name, state, problem)
    yield PhaseChanged(Phase.CLONE, StepStatus.SUCCESS)


def played(names: Iterable[str], *bodies: Body, **options: Any) -> Scenario:
    """A run that finds these packs in its list, and then does this."""
    packs = tuple(NodePack(name, f"https://github.com/owner/{name}") for name in names)
    probed = Probed("/workspace/ComfyUI", {"gpu": [{"name": "RTX 4090", "memory_bytes": 24_000_000_000}]})
    begun = (RunStarted("TASK", "1", 1, options.get("verify", True)), probed, ManifestRead("nodes", packs))
    moments = tuple(Moment(float(number), body) for number, body in enumerate((*begun, *bodies)))
    return Scenario(packs, moments, {}, "install", options)


def put_back(*removed: str, stuck: tuple[str, ...] = ()) -> Scenario:
    """A run that removes these packs again; those that are `stuck` it cannot."""
    gone = Problem("rolled_back", "It did not exist before the run, and was removed again.")
    left = Problem("cannot_roll_back", "The pack was changed after the run. It was left untouched.")
    changes = [NodeChanged(name, NodeState.SKIPPED, gone) for name in removed]
    changes += [NodeChanged(name, NodeState.FAILED, left) for name in stuck]
    error = Problem("rollback_incomplete", "Not everything could be put back.") if stuck else None
    end = RunEnded(TaskState.FAILED if stuck else TaskState.COMPLETED, error)
    return replace(played((*removed, *stuck), *changes, end, verify=False), kind="rollback")


NOTHING_YET = Scenario((NodePack("One", "https://github.com/owner/One"),), (), {})
ASKED = QuestionAsked(
    AskedQuestion("1", "choose_comfyui", "Two ComfyUIs.", (Answer("a", "A"), Answer("b", "B")), "a", 60.0)
)


@dataclass(frozen=True)
class Part:
    """One task of a run. `of`: which link leads to the task of which number; `after`: what the service says of it."""

    scenario: Scenario
    of: tuple[str, int] | None = None
    after: tuple[Body, ...] = ()


class Played:
    """A data folder that gets runs."""

    def __init__(self, data_dir: Path) -> None:
        self.history = History(data_dir)
        self._at = time.time() - 86400.0

    def add(self, *parts: Part, run_id: str | None = None, instance: str = INSTANCE) -> list[str]:
        """A run of these tasks; their ids."""
        added: list[str] = []
        for part in parts:
            self._at += 60.0
            of = {part.of[0]: added[part.of[1]]} if part.of else {}
            command = SSH if instance == INSTANCE else f"ssh {instance.replace(':', ' -p ')}"
            record = self.history.record(part.scenario, command, instance, at=self._at, of=of, run_id=run_id)
            self.history.add(record)
            played_out = part.scenario
            for body in part.after[:-1]:
                played_out = _with(played_out, body)
            self.history.fold(record, played_out, given_up=part.after[-1] if part.after else None)
            added.append(record.task_id)
        return added


def _with(scenario: Scenario, body: Body) -> Scenario:
    return replace(scenario, moments=(*scenario.moments, Moment(scenario.seconds + 1, body)))


PUT_BACK_ERROR = Problem("rolled_back", f"The install was rolled back, because these packs failed: Two. {PUT_BACK}")
ENDS: dict[str, tuple[tuple[Part, ...], str, str, str, str]] = {
    # name: its tasks; kind, tone, sentence, and the actions, the primary one first
    "all ready": (
        (Part(install(One=READY, Two=READY)),),
        *("ready", "good", "All 2 node packs are ready", "restart open install_again rollback lock"),
    ),
    "one ready": (
        (Part(install(One=READY)),),
        *("ready", "good", "The node pack is ready", "restart open install_again rollback lock"),
    ),
    "ready, the same twice": (
        (Part(install(One=READY, Two=AS_ASKED)),),
        *("ready", "good", "1 of 2 node packs ready, 1 skipped", "restart open install_again rollback lock"),
    ),
    "ready with a problem that a retry helps": (
        (Part(install(One=READY, Two=Problem("lfs_pointers", "Its large files are not here."))),),
        "partial",
        "warn",
        "1 of 2 node packs ready, 1 with a problem",
        "retry restart open install_again rollback lock",
    ),
    "partial, a retry helps": (
        (Part(install(One=READY, Two=RETRYABLE, Three=FOR_GOOD)),),
        "partial",
        "warn",
        "1 of 3 node packs ready, 2 failed",
        "retry restart open install_again rollback lock",
    ),
    "partial, no retry helps": (
        (Part(install(One=READY, Two=FOR_GOOD)),),
        *("partial", "warn", "1 of 2 node packs ready, 1 failed", "restart open install_again rollback lock"),
    ),
    "none, a retry helps": (
        (Part(install(One=RETRYABLE, Two=RETRYABLE)),),
        *("nothing", "bad", "None of the 2 node packs could be installed", "retry install_again rollback lock"),
    ),
    "none, no retry helps": (
        (Part(install(One=FOR_GOOD)),),
        *("nothing", "bad", "The node pack could not be installed", "install_again rollback lock"),
    ),
    "empty list": (
        (Part(install()),),
        *("nothing", "idle", "The list is empty: there was nothing to install", "install_again lock"),
    ),
    "plan": (
        (
            Part(
                played(
                    ["One"],
                    NodeChanged("One", NodeState.SKIPPED, Problem("plan_only", "Nothing was to be changed.")),
                    RunEnded(TaskState.COMPLETED),
                    plan_only=True,
                )
            ),
        ),
        *("planned", "idle", "Plan only: nothing was changed", "install_again"),
    ),
    "stopped before anything": (
        (Part(NOTHING_YET, after=(GivenUp(TaskState.CANCELLED),)),),
        *("stopped", "idle", "Stopped before anything was changed", "install_again"),
    ),
    "stopped in the middle": (
        (
            Part(
                played(
                    ["One", "Two"],
                    NodeChanged("One", NodeState.CLONED, commit=COMMIT),
                    RunEnded(TaskState.CANCELLED),
                )
            ),
        ),
        *("stopped", "warn", "Stopped; 0 of 2 node packs ready, 2 stopped", "retry install_again rollback"),
    ),
    "stopped, not confirmed": (
        (
            Part(
                played(["One"]),
                after=(GivenUp(TaskState.CANCELLED, Problem("cancel_unconfirmed", "It may go on.")),),
            ),
        ),
        *("stopped", "warn", "Stopped, but the machine could not confirm it", "retry install_again rollback"),
    ),
    "put back by hand": (
        (Part(install(One=READY, Two=RETRYABLE)), Part(put_back("One", "Two"), of=("rollback_of", 0))),
        *("put_back", "idle", "Everything is put back: 2 node packs removed", "install_again"),
    ),
    "put back by itself": (
        (
            Part(
                install(end=TaskState.FAILED, error=PUT_BACK_ERROR, One=PUT_BACK_NODE, Two=RETRYABLE),
            ),
        ),
        *("put_back", "warn", "The install did not succeed, so everything was put back", "install_again"),
    ),
    "put back in part": (
        (Part(install(One=READY)), Part(put_back(stuck=("One",)), of=("rollback_of", 0))),
        *("failed", "bad", "Not everything could be put back", "rollback install_again"),
    ),
    "a retry put back": (
        (
            Part(install(One=READY, Two=RETRYABLE)),
            Part(install(Two=READY), of=("retry_of", 0)),
            Part(put_back("Two"), of=("rollback_of", 1)),
        ),
        *(
            "partial",
            "idle",
            "1 of 2 node packs ready, 1 skipped",
            "restart open install_again rollback lock",
        ),
    ),
    "restarted and proven": (
        (Part(install(One=READY, Two=READY)), Part(restart(expected=2), of=("restart_of", 0))),
        "proven",
        "good",
        "ComfyUI was restarted and loads all 2 node packs",
        "open restart install_again rollback lock",
    ),
    "restarted, not all ready": (
        (Part(install(One=READY, Two=FOR_GOOD)), Part(restart(expected=1), of=("restart_of", 0))),
        "restarted",
        "warn",
        "ComfyUI was restarted; 1 of 2 node packs ready, 1 failed",
        "open restart install_again rollback lock",
    ),
    "restarted, not all loaded": (
        (Part(install(One=READY)), Part(restart(expected=1, missing=("One",)), of=("restart_of", 0))),
        "restarted",
        "warn",
        "ComfyUI was restarted, but it does not load all of the node packs",
        "open restart install_again rollback lock",
    ),
    "restart failed": (
        (Part(install(One=READY)), Part(restart(expected=1, done=False), of=("restart_of", 0))),
        *("failed", "bad", "ComfyUI was not restarted", "restart open install_again rollback lock"),
    ),
    "restarted by the install": (
        (
            Part(
                played(
                    ["One"],
                    *_clones({"One": READY}),
                    StepChanged(RESTART, StepStatus.SUCCESS, "by supervisorctl"),
                    NodeChanged("One", NodeState.VERIFIED, verified=True),
                    RunEnded(TaskState.COMPLETED),
                )
            ),
        ),
        "restarted",
        "good",
        "ComfyUI was restarted; the node pack is ready",
        "open restart install_again rollback",
    ),
    "retried, now all ready": (
        (Part(install(One=READY, Two=RETRYABLE)), Part(install(Two=READY), of=("retry_of", 0))),
        *("ready", "good", "All 2 node packs are ready", "restart open install_again rollback lock"),
    ),
    "retried, still failing": (
        (Part(install(One=READY, Two=RETRYABLE)), Part(install(Two=RETRYABLE), of=("retry_of", 0))),
        "partial",
        "warn",
        "1 of 2 node packs ready, 1 failed",
        "retry restart open install_again rollback lock",
    ),
    "restarted, then retried": (
        (
            Part(install(One=READY, Two=RETRYABLE)),
            Part(restart(expected=1), of=("restart_of", 0)),
            Part(install(Two=READY), of=("retry_of", 0)),
        ),
        *("ready", "good", "All 2 node packs are ready", "restart open install_again rollback lock"),
    ),
    "line lost for good": (
        (
            Part(
                played(["One"], NodeChanged("One", NodeState.CLONING)),
                after=(
                    Interrupted(Problem("connection_lost", "Gone.")),
                    GivenUp(TaskState.FAILED, Problem("connection_lost", "Gone for good.")),
                ),
            ),
        ),
        "lost",
        "bad",
        "The line to the machine was lost for good; what was done there stays",
        "retry install_again rollback",
    ),
    "killed": (
        (
            Part(
                played(["One"], NodeChanged("One", NodeState.CLONING)),
                after=(GivenUp(TaskState.FAILED, Problem("runner_lost", "It was killed.")),),
            ),
        ),
        "lost",
        "bad",
        "The install was killed on the machine; what was done there stays",
        "retry install_again rollback",
    ),
    "the machine never came": (
        (
            Part(
                NOTHING_YET,
                after=(GivenUp(TaskState.FAILED, Problem("connect_failed", "Connection refused.")),),
            ),
        ),
        *("failed", "bad", "The machine could not be reached; nothing was changed", "retry install_again"),
    ),
    "no ComfyUI": (
        (
            Part(
                played(
                    [], RunEnded(TaskState.FAILED, Problem("ui_home_ambiguous", "There are two ComfyUIs.", "Name one."))
                )
            ),
        ),
        *("failed", "bad", "There are two ComfyUIs.", "install_again"),
    ),
    "question never answered": (
        (
            Part(
                played(
                    ["One"],
                    ASKED,
                    QuestionAnswered("1", "a", AnswerSource.EXPIRED),
                    *_clones({"One": READY}),
                    NodeChanged("One", NodeState.VERIFIED, verified=True),
                    RunEnded(TaskState.COMPLETED),
                )
            ),
        ),
        *("ready", "good", "The node pack is ready", "restart open install_again rollback"),
    ),
}
