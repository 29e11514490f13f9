"""Tells what packs' own code wrote outside of its pack's folder.

Nothing is watched while it runs. Afterwards one look at the places finds what has changed since, and the time of the
change (ctime, which no program can set) tells which script ran just then: they run one at a time. Nothing is put back:
some packs do this on purpose. docs/decisions, 0022.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Set

from app.protocol.audit import AUDIT_LOG
from app.runner.context import Context
from app.runner.daemon.journal import CHANGED_HINT
from app.runner.daemon.run_files import replace_file
from app.runner.guard.watched_paths import MOST_FILES, NEVER, Change, Look
from app.runner.packs.new_folders import folders_in, is_no_pack
from app.runner.process import audit
from app.runner.process.paths import tools_folder
from app.runner.process.private_files import remove_file

_COARSE_CLOCK = 5
"""CLOCK_REALTIME_COARSE: what the kernel stamps files with."""
_MOST_NAMED = 5
_SYSTEM = ("/etc/", "/var/")
_HINT = (
    "Nothing was put back: some packs do this on purpose. Look at these files if you did not expect it; in a git "
    'repository "git diff" shows the change, and "git checkout -- FILE" takes it back.'
)
_INCOMPLETE_HINT = "No honest pack has so many files of code: look at what it is, and at what came with it."
_log = logging.getLogger("runner")


@dataclass(frozen=True)
class _Now:
    """A moment, by the clocks that stamp files: this machine's, and that of the volume with the packs."""

    here: int
    packs: int

    def on(self, packs: bool) -> int:
        """By one of them."""
        return self.packs if packs else self.here


@dataclass
class _Ran:
    """Code of a pack that ran: whose, from when to when, and what was in custom_nodes before and after."""

    what: str
    folder: Optional[Path]
    begin: _Now
    end: Optional[_Now] = None
    before: Set[str] = field(default_factory=set)
    gone: Set[str] = field(default_factory=set)


class Written:
    """One run's. `begin` and `end` are for one thread at a time, `settled` for any."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ran: List[_Ran] = []
        self._settled: Dict[str, _Now] = {}
        self._known: Set[str] = set()
        self._had: Dict[str, int] = {}
        """What was in folders before any script ran."""
        self._device = 0
        self._system_settled = 0
        context.settled, context.system_changed = self.settled, self._system_changed

    def settled(self, folder: Path) -> None:
        """The run has written into a pack's folder, or that of its tools, for the last time."""
        look = Look(NEVER)
        _go_through(look.pack(str(folder)))
        self._had.update(look.found)
        self._settled[str(folder)] = self._now()

    def begin(self, what: str, folder: Optional[Path] = None) -> None:
        """Code of a pack begins; `folder`: the pack's own, where it may write."""
        before = self._names()
        self._known = self._known or before
        if not self._ran:
            look = Look(NEVER)
            _go_through(self._watched(look, in_packs=folder is not None))
            self._had = {**look.found, **self._had}
        self._ran.append(_Ran(what, folder, self._now(), before=before))

    def end(self) -> None:
        """It has ended."""
        ran = self._ran[-1]
        ran.end, ran.gone = self._now(), ran.before - self._names()

    def _system_changed(self) -> None:
        """The run itself has just changed the system: what changed there until now is not told."""
        self._system_settled = time.time_ns()

    def look(self) -> None:
        """Looks at the places and tells what was written, for each script by itself; then what ran is forgotten."""
        ran, self._ran = [each for each in self._ran if each.end is not None], []
        if not ran:
            return
        began = time.monotonic()
        found: Dict[int, List[str]] = {}
        scripts = any(each.folder is not None for each in ran)
        for each in self._changed(min(min(one.begin.here, one.begin.packs) for one in ran), in_packs=scripts):
            number = self._who(each, ran)
            if number is not None:
                found.setdefault(number, []).append(each.path)
        found = {number: _without_explained(paths) for number, paths in found.items()}
        self._add_folders(ran, found)
        for number, paths in sorted(found.items()):
            self._warn(ran[number], paths)
        self._forget_compiled(ran[0].begin)
        self._put_back_own()
        _log.info("looked for what packs wrote elsewhere, in %.2f s", time.monotonic() - began)

    # -- looking -------------------------------------------------------------------------------------------------------

    def _changed(self, since: int, *, in_packs: bool) -> Iterator[Change]:
        """`in_packs`: packs that are imported write into their own folders, so those are left out then."""
        look = Look(since, self._had)
        yield from self._watched(look, in_packs=in_packs)
        packs = self._context.custom_nodes
        for path in packs.iterdir():
            if path.is_file() and not path.name.endswith((".log", ".pyc")):
                about = path.lstat()
                if about.st_ctime_ns > since:
                    yield Change(str(path), about.st_dev, about.st_ctime_ns)
        if look.incomplete:
            text = "What packs wrote elsewhere was looked for in only %d files of: %s."
            named = ", ".join("%.120s" % self._short(path) for path in look.incomplete[:_MOST_NAMED])
            self._context.warn("look_incomplete", text % (MOST_FILES, named), _INCOMPLETE_HINT)

    def _watched(self, look: Look, *, in_packs: bool) -> Iterator[Change]:
        context, environment = self._context, self._context.environment
        yield from look.machine(Path(os.path.expanduser("~")))
        yield from look.comfyui(context.ui_home, environment.prefix if environment else "")
        for name in sorted(self._names() & (self._known | context.folders_of_packs)) if in_packs else ():
            yield from look.pack(str(context.custom_nodes / name))

    def _who(self, found: Change, ran: Sequence[_Ran]) -> Optional[int]:
        """Which of them ran when that was written; None where none did, and where it may have written there."""
        packs = found.device == self._device
        root = str(self._context.custom_nodes) + os.sep
        of_tools = found.path.startswith(str(tools_folder()) + os.sep)
        of_pack = found.path.startswith(root) and os.sep in found.path[len(root) :]
        if (of_pack or of_tools) and found.changed_ns <= self._settled_at(found.path, packs=packs):
            return None
        if found.path.startswith(_SYSTEM) and found.changed_ns <= self._system_settled:
            return None
        for number, each in enumerate(ran):
            assert each.end is not None
            if each.begin.on(packs) < found.changed_ns <= each.end.on(packs):
                own = each.folder is not None and found.path.startswith(str(each.folder) + os.sep)
                return None if own or (of_pack and each.folder is None) else number
        return None

    def _settled_at(self, path: str, *, packs: bool) -> int:
        """When the run itself wrote there last: in the innermost of its packs' folders; in a folder, when it put
        another pack into it."""
        times = []
        if path[-1] == os.sep:
            times = [now.on(packs) for folder, now in self._settled.items() if folder.startswith(path)]
        folder = path.rstrip(os.sep)
        while folder and folder not in self._settled:
            folder = folder.rpartition(os.sep)[0]
        times += [self._settled[folder].on(packs)] if folder else []
        return max(times, default=0)

    def _add_folders(self, ran: Sequence[_Ran], found: Dict[int, List[str]]) -> None:
        """Whole folders in custom_nodes that came or went; of those that are no pack, others tell."""
        context, now = self._context, self._names()
        known = set(self._known | context.folders_of_packs)
        for number, each in enumerate(ran):
            later = ran[number + 1].before if number + 1 < len(ran) else now
            new = [name for name in later - each.before - known if not is_no_pack(context, name)]
            known |= later
            gone = each.gone - context.folders_of_packs
            for name in sorted([*new, *gone]):
                found.setdefault(number, []).append("%s/" % (context.custom_nodes / name))

    def _names(self) -> Set[str]:
        return folders_in(self._context)

    def _now(self) -> _Now:
        """A moment; where no file can be made in the staging folder, its clock is taken for this machine's."""
        try:
            here = int(time.clock_gettime(_COARSE_CLOCK) * 1e9)
        except (AttributeError, OSError):
            here = time.time_ns()
        probe = str(self._context.staging / ".now")
        try:
            fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return _Now(here, here)
        about = os.fstat(fd)
        os.close(fd)
        os.unlink(probe)
        self._device = about.st_dev
        return _Now(here, about.st_ctime_ns)

    # -- telling -------------------------------------------------------------------------------------------------------

    def _warn(self, ran: _Ran, paths: Sequence[str]) -> None:
        named = [self._short(path) for path in paths]
        more = " and %d more" % (len(named) - _MOST_NAMED) if len(named) > _MOST_NAMED else ""
        text = "While %s ran, files outside of its own folder were written or removed: %s%s."
        said = text % (ran.what, ", ".join("%.120s" % name for name in named[:_MOST_NAMED]), more)
        self._context.warn("wrote_outside", said, _HINT)

    def _short(self, path: str) -> str:
        """As a person would say it."""
        home = os.path.expanduser("~")
        for folder, short in ((self._context.custom_nodes, "custom_nodes/"), (self._context.ui_home, ""), (home, "~/")):
            if path.startswith(str(folder) + os.sep):
                return short + path[len(str(folder)) + 1 :] or "ComfyUI's own folder"
        return path

    # -- the run's own -------------------------------------------------------------------------------------------------

    def _put_back_own(self) -> None:
        """The run's own notes, which a rollback goes by, are as it wrote them."""
        changed = [AUDIT_LOG] if audit.was_changed() else []
        for path, content in sorted(self._context.notes.items()):
            try:
                if path.is_symlink() or path.read_bytes() != content:
                    raise OSError
            except OSError:
                changed.append(path.name)
                replace_file(path, content)
        if changed:
            text = "Something on the instance changed files of this run: %s. They were put back." % ", ".join(changed)
            self._context.warn("own_files_changed", text, CHANGED_HINT)

    def _forget_compiled(self, since: _Now) -> None:
        """Code that was compiled for the next calls of the runner could have been written by a script as well as by
        one of ours: it is compiled anew."""
        for path in (self._context.task.folder.parent / "bin").glob("*.compiled"):
            try:
                if path.lstat().st_ctime_ns > since.here:
                    remove_file(path)
            except OSError:
                continue


def _go_through(changes: Iterator[Change]) -> None:
    for _ in changes:
        pass


def _without_explained(paths: Sequence[str]) -> List[str]:
    """Without the folders that changed since a file was made in them, which is told by itself."""
    explained: Set[str] = set()
    for path in paths:
        folder = path.rstrip(os.sep).rpartition(os.sep)[0]
        while folder and folder + os.sep not in explained:
            explained.add(folder + os.sep)
            folder = folder.rpartition(os.sep)[0]
    return [path for path in paths if path not in explained]
