"""Brings the system packages that builds, install.py and imports turn out to need, where `options.system_packages` says
so: once each, told, and noted for whoever wants to remove them again.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path
from typing import Dict, FrozenSet, List, Optional, Sequence, Set

from app.protocol import task_list
from app.protocol.states import StepStatus
from app.runner.context import Context
from app.runner.daemon.run_files import replace_file
from app.runner.hints.system_packages import packages_for
from app.runner.machine.apt import Apt, Brought, is_name

_log = logging.getLogger("runner")
NOTE = "system-packages.json"
"""In the run's folder: what was added, and what was updated."""
_MOST_NAMED = 8
_making = threading.Lock()


class SystemPackages:
    """One run's. From any thread: one installation at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._answer: Optional[str] = None
        self._apt = Apt(context.children, context.task.folder / "system-packages.log")
        self._tried: Set[str] = set()
        self._good: Set[str] = set()
        self._added: List[str] = []
        self._updated: List[str] = []

    @classmethod
    def of(cls, context: Context) -> SystemPackages:
        """The run's, made at its first use."""
        with _making:
            known = context.shared.get(cls.__name__)
            if not isinstance(known, cls):
                known = context.shared[cls.__name__] = cls(context)
            return known

    def bring(self, output: str, known: FrozenSet[str] = frozenset()) -> FrozenSet[str]:
        """Installs what a failed program's output says is missing. What came of it that was not there when the program
        ran, so that it is worth another try; `known`: what had come by then. Asked first, where that is the option.
        Raises RunCancelled."""
        options = self._context.options
        may_install = options.system_packages != "off" and not options.plan_only
        wanted = packages_for(output) if may_install else ()
        if not wanted or not self._agreed(wanted):
            return frozenset()
        with self._lock:
            fresh = [package for package in wanted if package not in self._tried]
            if fresh:
                self._tried.update(fresh)
                if self._install(fresh):
                    self._good.update(fresh)
            return frozenset(self._good.intersection(wanted) - known)

    def _agreed(self, wanted: Sequence[str]) -> bool:
        """The user's word, which holds for all that the run needs: whoever else needs some waits for it too."""
        if self._context.options.system_packages == "install":
            return True
        with self._asking:
            if self._answer is None:
                self._answer = "leave" if self._apt.why_not() else self._ask(wanted)
            return self._answer == "install"

    def _ask(self, wanted: Sequence[str]) -> str:
        names = [each.split("|")[0] for each in wanted]
        return self._context.questions.ask(
            "A pack needs system packages that are missing: %s. Install them, and others that packs of this run need?"
            % ", ".join(names[:_MOST_NAMED]),
            code="install_system_packages",
            hint="apt-get installs them as root and removes nothing. Putting the run back leaves them there.",
            answers={"leave": "Leave the system as it is", "install": "Install"},
            default="leave",
            facts={"packages": names},
        )

    def _install(self, wanted: Sequence[str]) -> bool:
        """Whether they came. Told as a step of its own, and in a warning."""
        context, began = self._context, time.monotonic()
        names = ", ".join(each.split("|")[0] for each in wanted)
        context.step(task_list.SYSTEM_PACKAGES, StepStatus.RUNNING, names)
        why = self._apt.why_not()
        done = Brought(problem=why) if why else self._apt.install(wanted)
        context.system_changed()
        seconds = round(time.monotonic() - began, 1)
        if done.problem:
            context.step(task_list.SYSTEM_PACKAGES, StepStatus.FAILED, "%s: %s" % (names, done.problem), seconds)
            hint = "Install them yourself, as root: apt-get install -y %s. Then retry." % names.replace(",", "")
            text = "The system packages %s could not be installed: %s." % (names, done.problem)
            context.warn("system_packages_failed", text, hint)
            return False
        context.step(task_list.SYSTEM_PACKAGES, StepStatus.SUCCESS, names, seconds)
        if done.added or done.updated:
            self._note(done)
        return bool(done.added or done.updated)

    def _note(self, done: Brought) -> None:
        self._added += done.added
        self._updated += done.updated
        noted: Dict[str, object] = {"added": self._added, "updated": self._updated, "remove": removal(self._added)}
        try:
            replace_file(self._context.task.folder / NOTE, json.dumps(noted).encode())
        except OSError as exc:
            _log.warning("the system packages were not noted: %s", exc)
        named = list(done.added or done.updated)
        more = " and %d more" % (len(named) - _MOST_NAMED) if len(named) > _MOST_NAMED else ""
        text = "Installed with apt-get, since packs need them: %s%s." % (", ".join(named[:_MOST_NAMED]), more)
        hint = "A rollback leaves them there. To remove them, run on the instance: %s" % removal(done.added)
        self._context.warn("system_packages_installed", text, hint if done.added else "")


def removal(added: Sequence[str]) -> str:
    """The command that removes them."""
    return "apt-get remove -y %s" % " ".join(added)


def of_earlier_run(folder: Path) -> str:
    """The command that removes what an earlier run (its folder) has added; empty where it added nothing."""
    try:
        noted = json.loads((folder / NOTE).read_text("utf-8"))
        return removal([str(name) for name in noted["added"] if is_name(str(name))]) if noted["added"] else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
