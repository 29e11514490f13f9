"""What the phases of one run share."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import AbstractSet, Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from app.protocol.events import NodeChanged, PhaseChanged, StepChanged, Warned
from app.protocol.manifest import NodePack
from app.protocol.options import Options
from app.protocol.seal import Seal
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, Phase, StepStatus
from app.runner.daemon.journal import Journal
from app.runner.daemon.questions import Questions
from app.runner.environment.environment import Environment
from app.runner.environment.transaction import Transaction
from app.runner.machine.git import Git, GitRules
from app.runner.machine.layout import Layout
from app.runner.machine.ownership import Ownership
from app.runner.machine.room import Room
from app.runner.machine.safe_directories import environ_for, environ_for_ours, git_version
from app.runner.process.answers import Answers
from app.runner.process.children import Children
from app.runner.process.environment_lock import EnvironmentLock
from app.runner.process.errors import RunCancelled
from app.runner.process.git_environ import schemes_of
from app.runner.process.limits import RunLimits
from app.runner.process.paths import Task, staging_name
from app.runner.process.skips import Skips
from app.runner.process.temporary_files import let_others_in

_GIT_HINT = (
    "If they are yours, put them into ~/.gitconfig on the instance, which counts. Else take them out of the folder's "
    ".git/config."
)


@dataclass
class PackResult:
    """What the phases found out about one pack. `problem`: why it is not good; it stays."""

    pack: NodePack
    folder: Path
    commit: Optional[str] = None
    version: Optional[str] = None
    """Of a pack that was installed from ComfyUI's registry: it has no commit."""
    kept: bool = False
    requirements: Optional[Path] = None
    script: Optional[Path] = None
    problem: Optional[Problem] = None
    incomplete: Optional[Problem] = None
    """What of the pack is not there; it is told with the pack, which may load without it."""
    pointers: Tuple[str, ...] = ()
    """The paths of its files that were not fetched from Git LFS."""
    retry_alone: bool = False
    """The disk was full while other packs wrote to it: it is tried again alone."""
    awaiting: bool = False
    """Something went wrong, and its import decides whether it is good all the same."""

    lines_left_out: bool = False
    """`problem` is that lines of its requirements could not be had, while all the others are installed."""

    held: bool = False
    """A person is to be asked about it before it is put in place; then it is tried again."""

    @property
    def known_problem(self) -> Optional[Problem]:
        """`problem`, or what is not there: also as the cause of a problem with a file of which only a note is there."""
        if self.problem is None or self.incomplete is None:
            return self.problem or self.incomplete
        if not any(os.path.basename(path) in self.problem.message for path in self.pointers):
            return self.problem
        text = "%s Then: %s" % (self.incomplete.message, self.problem.message)
        return Problem(self.incomplete.code, text, self.incomplete.hint)

    @property
    def is_cloned(self) -> bool:
        """Its folder is in place: with a commit checked out, or with a version of the registry. A disabled pack never
        is: nothing more is done for it."""
        return self._is_there and not self.pack.disabled

    @property
    def is_put_aside(self) -> bool:
        """Whether it is a disabled pack, and where those are."""
        return self._is_there and self.pack.disabled and self.problem is None

    @property
    def _is_there(self) -> bool:
        return self.commit is not None or self.version is not None


@dataclass
class Context:
    """One run: its request, its ComfyUI, and where it tells and runs things. Read by the phases' threads."""

    task: Task
    request: Mapping[str, Any]
    journal: Journal
    children: Children
    cancelled: threading.Event
    skips: Skips
    options: Options = field(default_factory=Options)
    limits: RunLimits = field(default_factory=RunLimits)
    git_program: str = "git"
    ui_home: Path = field(default_factory=Path)
    layout: Layout = field(default_factory=Layout)
    """Where this ComfyUI has its packs."""
    environment: Optional[Environment] = None
    """ComfyUI's Python environment as it was last inspected; None when there is none."""
    on_requirements: Callable[[PackResult], None] = lambda _result: None
    """Called when a pack turns out to have requirements, from its clone's thread."""
    on_cloned: Callable[[], None] = lambda: None
    """Called when all clones are done. Raises RunCancelled."""
    unchanged: Callable[[], Optional[Environment]] = lambda: None
    """The environment as it is now, where that is known without inspecting it."""
    protections: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda _given: {}
    """Variables for programs that run packs' code, so that pip and uv keep what is protected; gets those that the
    program has besides. Raises OSError."""
    python_problem: Optional[Problem] = None
    """Why nothing can be installed into the interpreter, if so."""
    environment_before: Optional[Environment] = None
    """The same before this run changed anything; None while nothing was changed."""
    absent_before: AbstractSet[str] = frozenset()
    """The files that installed packages list, and that were not there before this run changed anything."""
    changed: Dict[str, Optional[str]] = field(default_factory=dict)
    """The versions of the packages that this run has changed, by canonical name; None for one that it removed."""
    began: float = field(default_factory=time.time)
    unfinished: List[Transaction] = field(default_factory=list)
    """Changes of packages that failed and could not be put back yet."""
    folders_of_packs: AbstractSet[str] = frozenset()
    """The entries of custom_nodes that the list's packs are, or lie in."""
    staging_made: bool = False
    ownership: Optional[Ownership] = None
    """Whose ComfyUI is; None until the run has made its first folder there."""
    changes_by_scripts: int = 0
    """How often packs' install scripts, or what put things right after them, changed installed packages."""
    questions: Questions = field(init=False)
    """What asks the user; from any phase and thread."""
    environment_lock: EnvironmentLock = field(init=False)
    """Held by whoever changes the environment."""
    replaced: Set[str] = field(default_factory=set)
    """The packs that the user wants installed although ComfyUI-Manager has them in its own form, by name."""
    shared: Dict[str, object] = field(default_factory=dict)
    """What several phases use and one of them makes, by its class's name."""
    seal: Optional[Seal] = None
    """Marks what is the run's, and what is the user's; None where nobody gave it a secret."""
    settled: Callable[[Path], None] = lambda _folder: None
    """Called when the run has written into a pack's folder, or into that of its tools, for the last time. From any
    thread."""
    system_changed: Callable[[], None] = lambda: None
    """Called when the run has installed packages of the system."""
    notes: Dict[Path, bytes] = field(default_factory=dict)
    """Files of the run that a rollback goes by, as the run wrote them."""
    _git_version: Tuple[int, int] = (0, 0)
    _git_environ: Mapping[str, str] = field(default_factory=dict)
    git_rules: GitRules = field(init=False)
    """What holds for every git of the run."""
    _told_of_git: Set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.environment_lock = EnvironmentLock(self.check_cancelled)
        answers, asks = Answers(self.task, self.seal), self.options.ask == "ask"
        self.questions = Questions(answers, self.journal, self.cancelled, asks=asks, seconds=self.limits.question)
        self.git_rules = GitRules(schemes_of(self.request), on_found=self._warn_of_git)

    @property
    def custom_nodes(self) -> Path:
        """The folder that packs go to, and that ComfyUI loads them from."""
        return self.layout.custom_nodes or self.base / "custom_nodes"

    @property
    def base(self) -> Path:
        """ComfyUI's base directory: models, input, output and user are in it."""
        return self.layout.base or self.ui_home

    @property
    def staging(self) -> Path:
        """Where clones grow; on the same file system as their final place."""
        return self.custom_nodes / staging_name(self.task.task_id)

    def existing_of(self, pack: NodePack) -> str:
        """What to do with a copy of this pack that ComfyUI-Manager has: `options.existing`, or what the user
        answered."""
        return "reinstall" if pack.name in self.replaced else self.options.existing

    @property
    def verifies(self) -> bool:
        """Whether ComfyUI is asked to import the packs."""
        installs = not (self.options.plan_only or self.request.get("rollback_of") or self.request.get("restart_of"))
        return installs and self.options.verify

    @property
    def packages(self) -> Mapping[str, str]:
        """The installed packages' canonical names and versions, as they were before the run."""
        return self.environment.packages if self.environment else {}

    @property
    def executable(self) -> str:
        """ComfyUI's interpreter; only asked for where there is one."""
        assert self.environment is not None
        return self.environment.executable

    @property
    def has_gpu(self) -> bool:
        """Whether torch can use a GPU."""
        return bool(self.environment and self.environment.cuda)

    def git(self, log: Optional[Path] = None, http_version: str = "") -> Git:
        """git, writing to `log`."""
        environ, rules = self._git_environ, self.git_rules
        rules.room = Room(self.limits.repository_bytes, self.limits.repository_files, self.staging)
        return Git(
            self.children, self.git_program, self.limits, log, http_version=http_version, environ=environ, rules=rules
        )

    def _warn_of_git(self, folder: Path, keys: Sequence[str]) -> None:
        """A repository's own configuration names programs; each time that it is other ones."""
        where = os.path.relpath(str(folder), str(self.base))
        named = ", ".join("".join(c if c.isprintable() else "?" for c in key[:80]) for key in keys[:5])
        text = "%s: the configuration of this repository names programs for git to run (%s). They were not run."
        words = text % (where, named + (" and %d more" % (len(keys) - 5) if len(keys) > 5 else ""))
        if words not in self._told_of_git and folder.suffix != ".disabled":  # as which it is replaced
            self._told_of_git.add(words)
            self.warn("git_config_ignored", words, _GIT_HINT)

    def safe_for_git(self, repositories: Sequence[Path]) -> Dict[str, str]:
        """The environment for a program of root's that runs git in these folders, or in ComfyUI's own, which are
        ComfyUI's user's. Raises OSError, RunCancelled."""
        if self.ownership is None or not self.ownership.is_given:
            return {}
        file = self.task.folder / "gitconfig-scripts"
        return environ_for([self.ui_home, *repositories], self._git_version, file)

    def find_owner(self, first: Path) -> None:
        """Finds out whose ComfyUI is. `first`: what the run made first in its folder. Raises OSError, RunCancelled."""
        layout = self.layout
        self.ownership = Ownership(
            self.ui_home, first.stat(), self.warn, base=layout.base, custom_nodes=layout.custom_nodes
        )
        self.children.set_environ(self.ownership.environ())
        if self.for_others:
            let_others_in(self.task)
        if self.ownership.is_given:
            self._git_version = git_version(self.children, self.git_program)
            self._git_environ = environ_for_ours(self._git_version, self.task.folder / "gitconfig")

    @property
    def for_others(self) -> bool:
        """Whether another user runs ComfyUI, and packs' code with it."""
        return self.ownership is not None and (self.ownership.is_given or self.ownership.user is not None)

    def check_cancelled(self) -> None:
        """Raises RunCancelled once the run was asked to stop."""
        if self.cancelled.is_set():
            raise RunCancelled

    def pause(self, seconds: float) -> None:
        """Waits; a cancel ends it. Raises RunCancelled."""
        if self.cancelled.wait(seconds):
            raise RunCancelled

    # -- telling -----------------------------------------------------------------------------------------------------

    def phase(self, phase: Phase, status: StepStatus, detail: str = "") -> None:
        """A phase began or ended."""
        self.journal.emit(PhaseChanged(phase, status, detail))

    def step(self, name: str, status: StepStatus, detail: str = "", seconds: Optional[float] = None) -> None:
        """A line of the task list moved."""
        self.journal.emit(StepChanged(name, status, detail, seconds))

    def node(self, name: str, state: NodeState, problem: Optional[Problem] = None) -> None:
        """A pack moved."""
        self.journal.emit(NodeChanged(name, state, problem))

    def settle(self, result: PackResult) -> None:
        """All was done for a pack that is there: it is installed. One with a problem is failed, unless its import
        is still to be checked: that decides."""
        known = result.known_problem
        if result.problem is None and known is not None and not self.verifies:
            result.problem = known  # nobody says that it does not work
            self.node(result.pack.name, NodeState.INSTALLED, known)
            return
        result.problem = known
        result.awaiting = self.verifies and result.problem is not None
        if result.awaiting:
            self.node(result.pack.name, NodeState.INSTALLING, result.problem)
            return
        self.node(result.pack.name, NodeState.FAILED if result.problem else NodeState.INSTALLED, result.problem)

    def warn(self, code: str, message: str, hint: str = "") -> None:
        """Something that the user wants to know and that stops nothing."""
        self.journal.emit(Warned(code, message, hint))

    def own(self, folder: Path) -> None:
        """Gives a folder that the run made to ComfyUI's user, where the runner is root and that user is not."""
        if self.ownership is not None:
            self.ownership.give(folder)

    def own_new(self, folder: Path) -> None:
        """As `own`, for what the run made in a folder; older files stay whose they are."""
        if self.ownership is not None:
            self.ownership.give_new(folder)

    def own_all_new(self) -> None:
        """As `own`, for what the run made anywhere."""
        if self.ownership is not None:
            self.ownership.give_all_new(self.environment)
