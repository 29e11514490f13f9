"""Scripts phase: each pack's install.py, in the manifest's order, in the pack's folder, with nobody there to
answer it."""

from __future__ import annotations

from typing import Optional, Protocol, Sequence

from app.protocol.events import ScriptChanged
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, Phase, StepStatus
from app.runner.context import Context, PackResult
from app.runner.hints import reasons
from app.runner.machine.safe_directories import repositories_in


class Watch(Protocol):
    """Looks at the environment before and after each script. Raises RunCancelled."""

    def before_script(self) -> None:
        """One is about to run."""

    def after_script(self, result: PackResult, problem: Optional[Problem]) -> None:
        """A pack's has ended; `problem`: why it did not end well."""


def run_scripts(context: Context, results: Sequence[PackResult], watch: Watch) -> None:
    """Runs the scripts and tells each pack's result. Raises RunCancelled."""
    wanted = [result for result in results if result.is_cloned and result.script]
    if not wanted:
        context.phase(Phase.SCRIPTS, StepStatus.SKIPPED, "no pack has an install script")
        return
    context.phase(Phase.SCRIPTS, StepStatus.RUNNING)
    for result in wanted:
        _run_script(context, result, watch)
    context.phase(Phase.SCRIPTS, StepStatus.SUCCESS)


def _run_script(context: Context, result: PackResult, watch: Watch) -> None:
    name = result.pack.name
    context.node(name, NodeState.INSTALLING)
    context.journal.emit(ScriptChanged(name, StepStatus.RUNNING))
    problem = context.python_problem
    if problem is None:
        watch.before_script()
        problem = _run(context, result)
        watch.after_script(result, problem)
    result.problem = result.problem or problem
    status = StepStatus.FAILED if problem else StepStatus.SUCCESS
    context.journal.emit(ScriptChanged(name, status, problem))
    context.settle(result)


def _run(context: Context, result: PackResult) -> Optional[Problem]:
    log = context.task.node_log(result.pack.name)
    argv = [context.executable, "install.py"]
    try:
        environ = {**context.protections({}), **context.safe_for_git(repositories_in(result.folder))}
        finished = context.children.run(
            argv, cwd=result.folder, environ=environ, limits=context.limits.scripts, log=log
        )
    except OSError as exc:
        return reasons.of_os(exc)
    context.own_new(result.folder)
    return None if finished.ok else reasons.of_script(finished)
