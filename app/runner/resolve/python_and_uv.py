"""ComfyUI's interpreter and uv, found beside the clones."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Callable, List, Mapping, Optional

from app.protocol import task_list
from app.protocol.events import Probed
from app.protocol.snapshot import Problem
from app.protocol.states import StepStatus
from app.runner.context import Context
from app.runner.environment.environment import Environment
from app.runner.environment.inspection import inspect_again
from app.runner.environment.transaction import recover
from app.runner.machine.interpreter import Interpreter, choose_interpreter
from app.runner.process.audit import because
from app.runner.process.children import Limits
from app.runner.process.errors import RunFault
from app.runner.process.execute import Execute, too_long
from app.runner.process.paths import tools_folder
from app.runner.resolve.fetched_tools import UV
from app.runner.resolve.installer_settings import may_break_system
from app.runner.resolve.no_builds import NoBuilds
from app.runner.resolve.uv_program import ensure_uv as find_or_fetch_uv

_log = logging.getLogger("runner")


def configure(context: Context) -> None:
    """Finds the interpreter. That there is none is the packs' problem, not the run's: clones need none."""
    started = time.monotonic()
    context.step(task_list.CONFIGURE_VENV, StepStatus.RUNNING)
    try:
        chosen = _chosen(context)
    except RunFault as fault:
        context.python_problem = fault.problem
        context.step(
            task_list.CONFIGURE_VENV, StepStatus.FAILED, fault.problem.message, round(time.monotonic() - started, 1)
        )
        return
    found = context.environment = _mended(context, chosen.environment)
    if found.externally_managed and not may_break_system(found.prefix):
        hint = "Create a virtual environment for ComfyUI on the instance, and give its folder as venv_path."
        text = "%s belongs to the operating system, which allows no packages to be added to it (PEP 668)."
        context.python_problem = Problem("externally_managed", text % found.executable, hint)
    if not found.torch:
        context.warn("no_torch", "ComfyUI's Python cannot import torch: %s" % found.torch_error, "Check venv_path.")
    seconds = round(time.monotonic() - started, 1)
    context.step(task_list.CONFIGURE_VENV, StepStatus.SUCCESS, "%s; it %s" % (found.describe(), chosen.why), seconds)
    torch = found.torch.to_json() if found.torch else None
    facts = {"interpreter": found.executable, "python": found.version, "torch": torch}
    context.journal.emit(Probed(str(context.ui_home), facts))


def _chosen(context: Context) -> Interpreter:
    """Which one was taken, and which others were seen, is told. Raises RunFault, RunCancelled."""

    def choose(text: str, answers: Mapping[str, str]) -> Optional[str]:
        if context.options.ask != "ask":
            return None
        hint = "If you do not know, take the first; it is also taken when nobody answers."
        return context.questions.ask(text, code="choose_environment", answers=answers, default="1", hint=hint)

    given = context.request.get("venv_path")
    base = context.layout.base
    found = choose_interpreter(context.ui_home, given, executor(context), base=base, choose=choose)
    python = found.environment.executable
    if found.others:
        others = ", ".join(each.python for each in found.others)
        text = "Several Python environments could be ComfyUI's. %s was used (it %s), and not %s."
        hint = "If ComfyUI uses another one, give its folder as venv_path, or start ComfyUI before you install."
        context.warn("other_environments", text % (python, found.why, others), hint)
    for broken in found.broken:
        text = "%s was used, since an environment of ComfyUI's cannot be started: %s."
        hint = "If ComfyUI does not start either, make that environment anew."
        context.warn("broken_environment", text % (python, broken), hint)
    return found


def _mended(context: Context, found: Environment) -> Environment:
    """Without what a killed run left half changed. A run that only plans changes nothing, this neither."""
    undone = [] if context.options.plan_only else recover(found)
    if not undone:
        return found
    names = sorted({name for change in undone for name in change.packages})
    left = sorted({name for change in undone for name in change.left})
    text = "An earlier run was ended while it changed packages. They were put back as they were before: %s."
    context.warn("change_undone", text % (", ".join(names) or "new ones were removed"))
    if left:
        text = "These could not be put back: %s." % ", ".join(left)
        context.warn("change_undone", text, "Look at the disk's free space. The next run tries it again.")
    return inspect_again(found, executor(context))


def ensure_uv(context: Context, python: Future[None]) -> Optional[str]:
    """The path of a uv, None where there is none to be had; the interpreter is found before."""
    python.result()
    try:
        executable = context.environment.executable if context.environment else None
        found = find_or_fetch_uv(
            context.children,
            executable,
            context.pause,
            lambda: _refused(context),
            lambda: context.settled(tools_folder()),
        )
        no_builds = NoBuilds.of(context)
        if found and executable and no_builds and not no_builds.holds(context.children, found, executable):
            text = "%s cannot plan without running packages' own code, so that it was not asked."
            context.warn("plan_unavailable", text % found, "Install uv 0.9 or newer on the instance.")
            return None
        return found
    except OSError as exc:
        _log.warning("no uv: %s", exc)
        return None


def _refused(context: Context) -> None:
    text = "The package index of the instance serves another file as uv %s than was published. It was not installed."
    hint = "Look at the index that pip is told to use there (pip config list), or install uv on the instance."
    context.warn("uv_refused", text % UV.version, hint)


def executor(context: Context) -> Execute:
    """Runs a program as a child of the run, so that a cancel ends it too."""

    def execute(argv: List[str], seconds: float) -> str:
        limits = Limits(idle=seconds, total=seconds)
        with because("look at the machine, or at ComfyUI's Python"):
            finished = context.children.run(argv, cwd=Path("/"), limits=limits, keep_bytes=1 << 24, only_stdout=True)
        if finished.stopped:
            raise too_long(seconds)
        return finished.output

    return execute


class UvOnDemand:
    """uv, looked for as soon as the first pack turns out to have requirements: fetching one can take long."""

    def __init__(self, submit: Callable[[], Future[Optional[str]]]) -> None:
        self._submit = submit
        self._lock = threading.Lock()
        self._future: Optional[Future[Optional[str]]] = None

    def begin(self) -> None:
        """Starts the search, once. From any thread."""
        with self._lock:
            if self._future is None:
                self._future = self._submit()

    def now(self) -> Optional[str]:
        """Looks for it if nothing did yet; its path, None when there is none."""
        self.begin()
        return self.result()

    def result(self) -> Optional[str]:
        """The path of uv; None when there is none, or when nothing needed it."""
        return self._future.result() if self._future else None
