"""What each step of a workflow does: with the use cases, in this process, never over HTTP."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.domain.errors import (
    AppError,
    HostKeyMismatch,
    HostKeyUnknown,
    RemoteError,
    StepTimedOut,
    TaskNotCancellable,
    TaskNotFound,
)
from app.domain.request import InstallRequest, Request
from app.domain.stored_request import read_install
from app.domain.workflow import ENDED_STEP, Question, StepName, StepState, Workflow
from app.protocol import counts, progress_json, questions, task_list
from app.protocol.snapshot import PlannedChange, Problem, Snapshot
from app.protocol.states import TERMINAL_TASK_STATES, Outcome, Phase, StepStatus, TaskState
from app.settings import Settings
from app.sync.installs import runner_request
from app.sync.installs.backoff import Backoff, is_worth_waiting
from app.sync.installs.cancel_signal import CancelSignal
from app.sync.installs.follow_ups import restart_request
from app.sync.installs.service import Installs
from app.sync.instance_checks import InstanceChecks, key_json
from app.sync.proofs import Proofs

HOST_KEY, NEW_HOST_KEY = "host_key_changed", "host_key_new"
PROVISIONING, PLAN = "still_provisioning", "plan_changes_packages"
_HINT_OF_CHANGED = (
    "Providers give addresses to new machines. If you have just rented a new one, trust its key. If not, stop."
)
_HINT_OF_NEW = "If it is the machine that you have rented, trust its key. If you do not know it, stop."
LOOK_SECONDS = 0.5
"""How late a stop is noticed while an install reports nothing."""
_CHECKING = (Phase.VERIFY, Phase.FINISH)
"""What an install does after its packs are installed."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0
_MOST_BUILT = 8


class Blocked(Exception):
    """The step needs a person."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.text)
        self.question = question


class Stopped(Exception):
    """The workflow was stopped, and what it had started is cancelled."""


class Leaving(Exception):
    """The service closes: the thread ends, the work on the instance does not."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a step ended."""

    state: StepState
    message: str = ""
    error: Mapping[str, str] | None = None


@dataclass(slots=True)
class StepRun:
    """One step being done, for its thread. `note` saves fields of the step; `stop` ends its waits, or wakes them."""

    workflow: Workflow
    name: StepName
    note: Callable[..., Workflow]
    stop: CancelSignal
    closing: threading.Event
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.workflow.deadline_seconds

    def keep(self, **fields: Any) -> None:
        """Keeps fields of the step."""
        self.workflow = self.note(**fields)

    def look_around(self, seconds: float = 0.0) -> None:
        """Waits up to `seconds`. Raises Leaving, Stopped, and StepTimedOut when the step has taken too long."""
        if seconds:
            self.stop.pause(seconds, unless=self.stop)
        if self.closing.is_set():
            raise Leaving
        if self.stop.is_set():
            raise Stopped
        if time.monotonic() > self.deadline:
            raise StepTimedOut(f"The step has not ended within its time limit of {self.workflow.deadline_seconds:g} s.")

    def left(self, most: float) -> float:
        """Seconds that something may take, `most` at most."""
        return max(1.0, min(most, self.deadline - time.monotonic()))

    def task_id_of(self, name: StepName) -> str | None:
        """The install of another step."""
        step = self.workflow.step(name)
        return step.task_id if step else None


class Steps:
    """The steps that there are. Every method may be called from any thread."""

    def __init__(self, installs: Installs, checks: InstanceChecks, settings: Settings, proofs: Proofs) -> None:
        self._installs = installs
        self.proofs = proofs
        self._checks = checks
        self._settings = settings
        self._steps: Mapping[StepName, Callable[[StepRun], Done]] = {
            StepName.TEST_SSH: self._test,
            StepName.INSTALL: self._install,
            StepName.VERIFY: self._verify,
            StepName.RESTART: self._restart,
            StepName.PROOF: self._prove,
        }

    def run(self, run: StepRun) -> Done:
        """One step to its end. Raises Blocked, Stopped, Leaving, AppError."""
        run.look_around()
        return self._steps[run.name](run)

    def check_answer(self, workflow: Workflow, question: Question, answer: str) -> None:
        """Carries out what an answer allows, before the workflow goes on. Raises RemoteError, HostKeyMismatch."""
        if question.code in (HOST_KEY, NEW_HOST_KEY) and answer == "accept":
            self._checks.accept(_request(workflow).address, str(question.facts["shown_sha256"]))

    # -- test_ssh ---------------------------------------------------------------------------------------------------

    def _test(self, run: StepRun) -> Done:
        request = _request(run.workflow)
        found = self._reach(run, request)
        run.keep(found=found)
        busy = found.get("provisioning")
        if busy and run.workflow.answers.get(PROVISIONING) != "continue":
            raise Blocked(_provisioning_question(busy))
        cards = ", ".join(card["name"] for card in found.get("gpu") or ()) or "no GPU"
        parts = (found.get("ui_home"), found.get("interpreter"), cards)
        return Done(StepState.SUCCESS, ", ".join(str(part) for part in parts if part))

    def _reach(self, run: StepRun, request: InstallRequest) -> dict[str, Any]:
        """Connects until it works, as long as the request wants to wait for its instance."""
        wait = request.options.wait_seconds
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._settings.wait_seconds if wait is None else wait)
        while True:
            try:
                return self._checks.test(
                    request.address,
                    request.ui_home,
                    request.options.host_key_sha256,
                    run.left(self._settings.timeouts.connect),
                    cancel=run.stop,
                    asks_first=request.options.first_contact == "ask",
                    patience=backoff.patience,
                )
            except HostKeyMismatch as error:
                raise Blocked(self._host_key_question(request, error)) from error
            except RemoteError as error:
                run.look_around()
                pause = backoff.next_pause() if is_worth_waiting(error) else None
                if pause is None:
                    raise
                due = time.time() + pause
                run.keep(message=f"Waiting for the instance: {error.message}", next_attempt_at=due)
                run.look_around(pause)

    def _host_key_question(self, request: InstallRequest, error: HostKeyMismatch) -> Question:
        """Raises the error itself where the key that is shown now cannot be had, or was named by the request."""
        if request.options.host_key_sha256:
            raise error
        status = key_json(error.presented) if error.presented else self._checks.scan(request.address)
        is_new = isinstance(error, HostKeyUnknown)
        return Question(
            NEW_HOST_KEY if is_new else HOST_KEY,
            error.message,
            _HINT_OF_NEW if is_new else _HINT_OF_CHANGED,
            {"accept": "Trust this key" if is_new else "It is a new machine: trust its key"},
            {
                "shown_sha256": status["sha256"],
                "key_type": status["key_type"],
                "host": status["host"],
                "port": status["port"],
                "known": [key_json(key) for key in error.known],
                "is_jump_host": error.is_jump_host,
            },
        )

    # -- install_custom_nodes, verify_dependencies ------------------------------------------------------------------

    def _install(self, run: StepRun) -> Done:
        """Done when the packs are installed; their import check, where it is a step of its own, may still go on."""
        self._review(run)
        task_id = self._started(run, "task_id", _install_request(run.workflow), "install")
        verifies = run.workflow.step(StepName.VERIFY) is not None
        install = self._follow(run, task_id, lambda now: verifies and progress_json.phase_of(now) in _CHECKING)
        if install.state not in TERMINAL_TASK_STATES:
            return Done(StepState.SUCCESS, _installed(install))
        return _of_install(install)

    def _verify(self, run: StepRun) -> Done:
        task_id = run.task_id_of(StepName.INSTALL)
        if task_id is None:
            return Done(StepState.SKIPPED, "Nothing was installed.")
        install = self._follow(run, task_id, lambda _: False)
        verdicts = [node.verified for node in install.nodes.values()]
        if install.state is TaskState.COMPLETED and not any(verdict is not None for verdict in verdicts):
            return Done(StepState.SKIPPED, "Nobody knows whether the node packs load: nothing was imported.")
        good = verdicts.count(True)
        return replace(_of_install(install), message=f"{good} of {len(verdicts)} node packs load in ComfyUI")

    def _review(self, run: StepRun) -> None:
        """Plans first, where a person wants to see what changes. Raises Blocked."""
        if run.workflow.review_plan == "never" or run.workflow.answers.get(PLAN) == "install":
            return
        request = _install_request(run.workflow)
        planning = replace(request, options=replace(request.options, plan_only=True, restart=False, on_failure="keep"))
        task_id = self._started(run, "plan_task_id", planning, "plan")
        planned = self._follow(run, task_id, lambda _: False)
        if planned.state is not TaskState.COMPLETED:
            problem = planned.error or Problem("cancelled", progress_json.message(planned))
            raise AppError(problem.message, hint=problem.hint, code=problem.code)
        plan = planned.plan or ()
        changes = [change for change in plan if change.change != "add" or change.is_unknown]
        if changes or run.workflow.review_plan == "always":
            raise Blocked(_plan_question(plan, changes))

    # -- restart_comfyui --------------------------------------------------------------------------------------------

    def _restart(self, run: StepRun) -> Done:
        installed = run.task_id_of(StepName.INSTALL)
        asked = _install_request(run.workflow)
        request = (
            restart_request(self._installs, installed, asked) if installed else runner_request.restart_of(None, asked)
        )
        ended = self._follow(run, self._started(run, "task_id", request, "restart"), lambda _: False)
        if ended.state is not TaskState.COMPLETED:
            return _of_install(ended)
        restart = ended.steps.get(task_list.RESTART)
        if restart is None or restart.status is not StepStatus.SUCCESS:
            message = (restart and restart.detail) or "ComfyUI was not restarted."
            return Done(StepState.FAILED, message, Problem("not_restarted", message).to_json())
        return Done(StepState.SUCCESS, restart.detail or "ComfyUI was restarted.")

    # -- proof ------------------------------------------------------------------------------------------------------

    def _prove(self, run: StepRun) -> Done:
        """What is missing is no failure of the run: its packs are installed."""
        run.keep(message="ComfyUI is asked what it has.")
        task_id = run.task_id_of(StepName.RESTART) or run.task_id_of(StepName.INSTALL)
        run_id = run.workflow.workflow_id
        if task_id is not None:
            found = self.proofs.prove_task(run_id, task_id)
        else:
            found = self.proofs.prove(run_id, _request(run.workflow), run.stop)
        run.look_around()
        if found is None:
            return Done(StepState.SKIPPED, "The workflow file is not kept any more.")
        run.keep(found={name: found[name] for name in ("verdict", "checked_at")})
        return Done(StepState.SUCCESS if found["verdict"] == "ready" else StepState.PARTIAL, found["sentence"])

    # -- installs ---------------------------------------------------------------------------------------------------

    def _started(self, run: StepRun, column: str, request: Request, purpose: str) -> str:
        """The step's install, started unless it was. A start that was not noted is found by its key."""
        step = run.workflow.step(run.name)
        known: str | None = getattr(step, column)
        if known is None:
            key = f"workflow {run.workflow.workflow_id} {purpose}"
            asked, run_id = replace(request, idempotency_key=key), run.workflow.workflow_id
            known = self._installs.start(asked, own_key=True, run_id=run_id).task_id
            run.keep(**{column: known})
        return known

    def _follow(self, run: StepRun, task_id: str, far_enough: Callable[[Snapshot], bool]) -> Snapshot:
        """The install's snapshot when it has ended or is far enough. A stop, or a missed deadline, cancels it."""
        try:
            while True:
                snapshot = self._installs.status(task_id).snapshot
                if snapshot.state in TERMINAL_TASK_STATES or far_enough(snapshot):
                    return snapshot
                began = time.monotonic()
                self._installs.wait_for_change(task_id, snapshot.revision, LOOK_SECONDS)
                if questions.standing(snapshot):  # the deadline stands still while a person is asked
                    run.deadline += time.monotonic() - began
                run.look_around()
        except (Stopped, StepTimedOut):
            self._cancel(task_id)
            raise

    def abandon(self, workflow: Workflow) -> None:
        """Cancels what the steps that have not ended had started: a service that was to do so has died. Raises
        ServiceClosing."""
        for step in workflow.steps:
            if step.state not in ENDED_STEP:
                for task_id in filter(None, (step.task_id, step.plan_task_id)):
                    self._cancel(task_id)

    def close(self) -> None:
        """Lets go of what asks an instance."""
        self.proofs.close()

    def _cancel(self, task_id: str) -> None:
        with contextlib.suppress(TaskNotCancellable, TaskNotFound):  # it has ended meanwhile, or is forgotten
            self._installs.cancel(task_id)


def _request(workflow: Workflow) -> InstallRequest:
    return read_install(workflow.request)


def _install_request(workflow: Workflow) -> InstallRequest:
    """The install's; a person who said to go on while the image sets itself up means the install too."""
    request = _request(workflow)
    if workflow.answers.get(PROVISIONING) != "continue":
        return request
    return replace(request, options=replace(request.options, wait_for_provisioning=False))


def _of_install(ended: Snapshot) -> Done:
    """How an install that has ended lets its step end."""
    error = ended.error.to_json() if ended.error else None
    if ended.state is TaskState.CANCELLED:
        text = "The install was stopped."
        return Done(StepState.FAILED, text, error or Problem("cancelled", text).to_json())
    if ended.state is TaskState.FAILED:
        return Done(StepState.FAILED, progress_json.message(ended), error)
    outcome = counts.outcome(ended)
    if outcome is Outcome.NONE:
        text = "No node pack could be installed."
        return Done(StepState.FAILED, text, Problem("none_installed", text, "Each pack says why.").to_json())
    return Done(StepState.SUCCESS if outcome is Outcome.ALL else StepState.PARTIAL, _installed(ended))


def _installed(install: Snapshot) -> str:
    numbers = counts.count(install)
    return f"{numbers.successful} of {numbers.total} node packs are installed"


def _provisioning_question(busy: list[str]) -> Question:
    return Question(
        PROVISIONING,
        f"The machine has not finished setting itself up ({', '.join(busy)} exists).",
        "Its own install and yours could disturb each other. Wait a few minutes, then look again.",
        {"look_again": "Look again", "continue": "Install now anyway"},
        {"paths": busy},
    )


def _plan_question(plan: Sequence[PlannedChange], changes: Sequence[PlannedChange]) -> Question:
    known = [change for change in plan if not change.is_unknown]
    added, older = sum(change.change == "add" for change in known), sum(change.downgrade for change in changes)
    text = f"{added} packages would be added and {len(known) - added} changed, {older} to an older version."
    built = [change for change in plan if change.needs_build]
    if built:
        names = ", ".join(f"{change.package} ({change.build_in_words})" for change in built[:_MOST_BUILT])
        more = f" and {len(built) - _MOST_BUILT} more" if len(built) > _MOST_BUILT else ""
        text += f" An install would run the code of {len(built)} packages to build them: {names}{more}."
    unknown = sorted({name for change in plan if change.is_unknown for name in change.wanted_by})
    if unknown:
        text += f" Nothing was built for this plan, so that it is not complete for: {', '.join(unknown)}."
    return Question(
        PLAN,
        text,
        "Nothing has been changed yet. The list shows every package, and the packs that need it.",
        {"install": "Install"},
        {"plan": [change.to_json() for change in plan]},
    )
