"""uv for one interpreter: plans and installs."""

from __future__ import annotations

import copy
import os
import re
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from app.runner.environment.environment import Environment
from app.runner.process.children import Children, Finished, Limits
from app.runner.process.private_files import append_to_log
from app.runner.resolve.bare_builds import build_bare
from app.runner.resolve.build_help import BuildHelp
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.no_builds import tidied, was_refused
from app.runner.resolve.own_sources import OwnSources
from app.runner.resolve.plan import has_lines, requirement_arguments
from app.runner.resolve.staged import Staging, unreadable
from app.runner.resolve.wheel_sources import WheelSources, built_in_output, pins_in

CONSTRAINTS = "constraints.txt"
_OFFLINE = re.compile(
    r"[Nn]etwork (?:was|connectivity is) disabled|(?:not|wasn.t) found in the cache|needs to be downloaded"
)
_SYSTEM_CERTS = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}


class Uv:
    """uv for one interpreter."""

    def __init__(
        self,
        children: Children,
        program: str,
        environment: Environment,
        folder: Path,
        limits: Limits,
        *,
        settings: InstallerSettings,
        low_priority: bool = False,
        wheels: Optional[WheelSources] = None,
        build_help: Optional[BuildHelp] = None,
    ) -> None:
        """`folder`: where it runs. `settings`: the machine's, for pip and uv. `low_priority`: what others do comes
        first. `wheels`: offered besides the registry's, and given what uv builds; None: uv gets by without.
        `build_help`: what is tried where a build fails."""
        self._children = children
        self._program = program
        self.wheels = wheels
        self._no_builds = settings.no_builds
        self._help = None if self._no_builds else build_help
        self._limits = limits
        self._cwd = folder
        self._low_priority = low_priority
        self._environment = environment
        self.unreadable: Optional[str] = None
        """The package at which uv stopped, so that its own files were put in place without it (`staged`)."""
        self.told_unreadable = False
        self._settings = settings
        self._own: Optional[OwnSources] = None
        self._environ: Dict[str, str] = {**settings.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
        if not self._is_next_to_cache(Path(environment.prefix)):
            self._environ["UV_LINK_MODE"] = "copy"  # hard links do not reach: say so, or each file brings a warning
        self._argv = [program, "pip", "install", "--color", "never", "--python", environment.executable]

    def low_priority(self) -> Uv:
        """The same, when what others do comes first."""
        same = copy.copy(self)
        same._low_priority = True  # noqa: SLF001 - its own
        return same

    def ended_by(self, over: threading.Event) -> Uv:
        """The same, when `over` ends what runs, as a cancel does."""
        same = copy.copy(self)
        same._children = self._children.until(over)  # noqa: SLF001 - its own
        return same

    def with_sources(self, own: Optional[OwnSources]) -> Uv:
        """The same for a pack that says itself where its packages are, or how they are chosen; None: as it is."""
        if own is None:
            return self
        same = copy.copy(self)
        same._own = own  # noqa: SLF001 - its own
        return same

    def plan(
        self,
        files: Sequence[Path],
        log: Path,
        *,
        constraints: Sequence[Path] = (),
        overrides: Sequence[Path] = (),
        builds: bool = True,
        target: Optional[Path] = None,
        offline: bool = False,
        timeout: Optional[float] = None,
        kept: Optional[bool] = None,
    ) -> Finished:
        """What would be installed; changes nothing. Without `builds` only wheels count. `target`: a folder that counts
        as what is installed, instead of the interpreter's environment. `offline`: by the cache alone. `timeout`: a
        limit of its own, in seconds. `kept`: whether wheels of earlier builds are offered, by default where uv may
        build: where it may not, it would take an old one rather than a newer version that has to be built."""
        if not requirement_arguments(files):
            return Finished(0, b"")
        argv = [*self._argv, *self._settings.arguments, "--dry-run", *requirement_arguments(files)]
        argv += ["--target", str(target)] if target else []
        argv += [part for path in constraints if has_lines(path) for part in ("--constraint", str(path))]
        argv += [part for path in overrides if has_lines(path) for part in ("--override", str(path))]
        argv += ["--offline"] if offline else []
        limits = self._limits if timeout is None else replace(self._limits, total=timeout)
        offered = builds if kept is None else kept
        finished = self._run(argv if builds else [*argv, "--no-build"], log, None, limits, kept=offered)
        if self._no_builds and self._no_builds.may_build and builds and not offline and was_refused(finished):
            finished = self._built_bare(argv, finished, log, limits)
        return tidied(finished) if self._no_builds else finished

    def _built_bare(self, argv: List[str], refused: Finished, log: Path, limits: Limits) -> Finished:
        """The same with builds, without credentials; `refused` where it only fails for want of these."""
        environ = self._with_own({**self._environ, **(self.wheels.for_uv() if self.wheels else {})})
        built = build_bare(self._children, argv, self._cwd, environ, limits=limits, log=log)
        return built if built.ok or "uild backend" in built.output else refused

    def install(
        self,
        file: Path,
        log: Path,
        on_line: Callable[[str], None],
        *,
        builds: bool = True,
        dry_run: bool = False,
        target: Optional[Path] = None,
        offline: bool = False,
        arguments: Sequence[str] = (),
    ) -> Finished:
        """Installs exactly the file's lines, and nothing that they require; `on_line` gets each line that uv prints.
        `dry_run`: only looks whether they can be had, whatever is installed. `target`: links to them go there, and the
        interpreter's environment stays as it is. `offline`: by the cache alone. `arguments`: more options of
        `uv pip install`."""
        argv = [
            *self._argv,
            *self._settings.arguments,
            "--no-deps",
            *(["--dry-run"] if dry_run else []),
            *requirement_arguments([file]),
            *arguments,
        ]
        argv += (
            ["--target", str(target), "--link-mode", "hardlink" if self._is_next_to_cache(target.parent) else "symlink"]
            if target
            else []
        )
        argv += ["--prefix", str(self._cwd / "tried")] if dry_run else []
        argv += ["--offline"] if offline else []
        argv += [] if builds else ["--no-build"]
        finished = self._run(argv, log, Lines(on_line))
        self.unreadable = self.unreadable or unreadable(finished.output)
        if finished.ok or target or dry_run or not unreadable(finished.output):
            return finished
        return self._staged(lambda staging: staging.put_in_place(), argv, log, on_line)

    def _staged(
        self, change: Callable[[Staging], str], argv: Sequence[str], log: Path, on_line: Callable[[str], None]
    ) -> Finished:
        """The same where uv refuses to look at what is installed. An empty `argv`: there is nothing to install."""
        staging = Staging(self._cwd / "staged", self._environment)
        shutil.rmtree(str(staging.folder), ignore_errors=True)
        try:
            finished = Finished(0, b"")
            if argv:
                finished = self._run([*argv, "--prefix", str(staging.folder)], log, Lines(on_line))
            wrong = change(staging) if finished.ok else ""
        finally:
            shutil.rmtree(str(staging.folder), ignore_errors=True)
        if not wrong:
            return finished
        append_to_log(log, "%s\n" % wrong)
        return Finished(1, finished.raw + wrong.encode() + b"\n")

    def compile(
        self,
        files: Sequence[Path],
        arguments: Sequence[str],
        limits: Limits,
        *,
        environ: Optional[Mapping[str, str]] = None,
    ) -> Finished:
        """What these files come to by the cache alone, in the words of `uv pip compile`; asks nobody, installs
        nothing."""
        argv = [part if part != "install" else "compile" for part in self._argv]
        offered = self._with_own(self.wheels.for_uv() if self.wheels else {})
        argv, variables = self._helped(
            [*argv, *self._settings.arguments, "--offline", "--quiet", *arguments, *map(str, files)],
            {**offered, **(environ or {})},
        )
        unset = self._settings.unset
        return self._children.run(
            argv, cwd=self._cwd, limits=limits, environ=variables, unset=unset, keep_bytes=1 << 18
        )

    def uninstall(self, names: Sequence[str], log: Path) -> Finished:
        """Removes packages."""
        argv = [part for part in self._argv if part != "install"]
        argv.insert(argv.index("pip") + 1, "uninstall")
        finished = self._run([*argv, *names], log, None)
        self.unreadable = self.unreadable or unreadable(finished.output)
        if finished.ok or not unreadable(finished.output):
            return finished
        return self._staged(lambda staging: staging.remove(names), [], log, lambda _line: None)

    def _run(
        self,
        argv: List[str],
        log: Path,
        on_output: Optional[Callable[[bytes], None]],
        limits: Optional[Limits] = None,
        *,
        kept: bool = True,
    ) -> Finished:
        """Once more without what cannot be read of a wheelhouse. What uv has built is kept, also when it fails after
        that."""
        arguments: Dict[str, Any] = {
            "cwd": self._cwd,
            "limits": limits or self._limits,
            "on_output": on_output,
            "log": log,
            "keep_bytes": 1 << 18,
            "low_priority": self._low_priority,
            "unset": self._settings.unset,
        }
        wheels = self.wheels
        if wheels is None:
            return self._attempt(argv, self._with_own({}), arguments)
        began, output = time.time(), ""
        try:
            finished = self._attempt(argv, self._with_own(wheels.for_uv(kept=kept)), arguments)
            if not finished.ok and wheels.dropped(finished.output):
                finished = self._attempt(argv, self._with_own(wheels.for_uv(kept=kept)), arguments)
            output = finished.output
        finally:
            # What is built of a pack's own place would be offered to all packs of later runs.
            if self._no_builds is None and not {"--no-build", "uninstall"} & set(argv) and self._own is None:
                pins = {**pins_in(argv), **built_in_output(output)}
                wheels.keep(self._children, self._program, pins, began)
        return finished

    def _with_own(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        if self._own is None:
            return environ
        return {**environ, **self._own.for_uv({**os.environ, **self._environ, **environ})}

    def _attempt(self, argv: List[str], environ: Mapping[str, str], arguments: Mapping[str, Any]) -> Finished:
        """Once more for each remedy of a build that failed."""

        def certified() -> Finished:
            return self._certified(argv, environ, arguments)

        return self._help.attempt(self._program, certified) if self._help else certified()

    def _helped(self, argv: List[str], environ: Mapping[str, str]) -> Tuple[List[str], Dict[str, str]]:
        """The command and its variables, with what helps builds."""
        found = {**self._environ, **environ}
        if self._no_builds and "uninstall" not in argv:
            return [*argv, *self._no_builds.arguments], {**found, **self._no_builds.environ}
        if self._help is None:
            return argv, found
        options, variables = self._help.settings(argv, {**os.environ, **found})
        return [*argv, *options], {**found, **variables}

    def _certified(self, argv: List[str], environ: Mapping[str, str], arguments: Mapping[str, Any]) -> Finished:
        """Once more with the system's certificates, where uv's own do not know the registry's."""
        argv, variables = self._helped(argv, environ)
        finished = self._children.run(argv, environ=variables, **arguments)
        if (
            not finished.ok
            and "invalid peer certificate" in finished.output
            and not _SYSTEM_CERTS.keys() <= self._environ.keys()
        ):
            self._environ.update(_SYSTEM_CERTS)
            finished = self._children.run(argv, environ={**variables, **_SYSTEM_CERTS}, **arguments)
        return finished

    def _is_next_to_cache(self, folder: Path) -> bool:
        """Whether a folder is on the file system of uv's cache, so that hard links reach it."""
        cache = self._settings.cache
        while not cache.exists():
            cache = cache.parent
        try:
            return os.stat(str(cache)).st_dev == os.stat(str(folder)).st_dev
        except OSError:
            return False


def is_for_want_of_network(finished: Finished) -> bool:
    """Whether uv, which was told to ask nobody, failed for something that is not in its cache. It has changed nothing
    then."""
    return not finished.ok and _OFFLINE.search(finished.output) is not None


class Lines:
    """Cuts a program's output into lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = ""

    def __call__(self, piece: bytes) -> None:
        """One piece of output."""
        *lines, self._rest = re.split(r"[\r\n]", self._rest + piece.decode("utf-8", "replace"))
        for line in lines:
            self._on_line(line)
