"""What a repository's own configuration would have git run, read before any git works in the repository.

A clone brings no `.git/config`: what stands in one was written on the instance, by its user, by an image or by some
pack. Nodeferry's git runs none of it. Keys of fixed names are overruled for every call (`FIXED`). Filters, credential
helpers and remotes have names of their own, so the file is read first, by `git config --file`, which runs nothing, and
what it names is set back to what the machine's own configuration says (`~/.gitconfig`, `/etc/gitconfig`), which stays
in force. git-lfs's filter is as anywhere. Where that cannot be done, git does not work in the folder at all.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

Pairs = Sequence[Tuple[str, str]]
Entries = Dict[str, List[Tuple[str, str]]]
"""Keys and values by file."""
Ask = Callable[[Sequence[str]], Optional[bytes]]
"""Runs `git config -z` with these arguments, away from any repository; None when it fails, or says too much."""

FIXED: Pairs = (
    ("core.fsmonitor", ""),  # `false` is the name of a program to git before 2.36
    ("core.hooksPath", os.devnull),
    ("core.alternateRefsCommand", "true"),
    ("alias.lfs", ""),  # what `git lfs` runs where git-lfs is missing
    ("log.showSignature", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("transfer.bundleURI", "false"),
    ("maintenance.auto", "false"),
    ("safe.bareRepository", "explicit"),  # one that a pack has among its files, from git 2.38 on
)
_RUNS = re.compile(
    r"core\.sshcommand|init\.templatedir|fetch\.bundleuri|credential\.(?:.*\.)?helper|filter\..*\.(?:clean|smudge|process)"
    r"|remote\..*\.uploadpack|hook\..*\.command|lfs\.(?:.*\.)?standalonetransferagent"
    r"|lfs\.customtransfer\..*\.path|lfs\.extension\..*\.(?:clean|smudge)|submodule\..*\.update|core\.gitproxy",
    re.DOTALL,
)
_MAY_NAME_A_PROGRAM = re.compile(
    rb"include|sshcommand|templatedir|bundleuri|helper|clean|smudge|process|uploadpack|command|transferagent|path"
    rb"|(?<![a-z])update|gitproxy|fsmonitor|worktree",
    re.IGNORECASE,
)
"""Keys stand in a file as they are, whatever else can be escaped there. A file with none of these is not read by git
first: that is each one that a clone has written."""
_SMALL_BYTES = 64 * 1024
_OF_LFS = re.compile(r"git[- ]lfs (?:clean|smudge|filter-process)(?: --skip)?(?: --)?(?: \"?%f\"?)?")
_NO_PROGRAM = frozenset({"", "true", "false", "yes", "no", "on", "off", "1", "0"})
_NAMES = ("config", "config.worktree")
_CREDENTIALS = re.compile(r"credential\.(?:.*\.)?helper", re.DOTALL)
_INCLUDE = re.compile(r"include\.path|includeif\..*\.path", re.DOTALL)
_MOST_FILES = 200
_MOST_KEYS = 100
_MOST_FOLDERS = 20_000
_POINTER_BYTES = 1 << 20
"""As much of a `.git` file as git itself reads."""
_NOT_WALKED = frozenset({"objects", "refs", "logs", "hooks", "lfs", "info"})
"""Of a repository; a submodule may have one of these names."""


@dataclass(frozen=True)
class Judged:
    """`overrules`: what git gets besides; `told`: the keys that name programs; `refused`: why git may not work there at
    all, empty where it may."""

    overrules: Pairs = ()
    told: Tuple[str, ...] = ()
    refused: str = ""


@dataclass(frozen=True)
class Repository:
    """git's own folder, the folder of its files (empty where they are not there), and its configuration files."""

    own: str
    folder: str
    files: Tuple[str, ...]


class _Refused(Exception):
    """Why git may not work there."""


class LocalGitConfig:
    """What was found in one run, by folder, and read again when a file has changed. Used by several threads."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._known: Dict[str, Tuple[Dict[str, object], Judged]] = {}
        self._machine: Optional[Dict[str, List[str]]] = None

    def of(self, folder: Path) -> Judged:
        """What holds for git in a folder: a repository with its submodules, or any other. Raises RunCancelled."""
        try:
            repositories = list(_repositories(folder))
            if not repositories:
                return Judged()
            files = [file for each in repositories for file in each.files]
            with self._lock:
                known = self._known.get(str(folder))
            if known and known[0].keys() >= set(files) and known[0] == _marks(known[0]):
                return known[1]
            entries = self._read(files)
            _check_places(repositories, entries)
            found = self._judged(entries)
        except _Refused as exc:
            return Judged(refused=str(exc))
        with self._lock:
            self._known[str(folder)] = (_marks(entries), found)
        return found

    def _read(self, files: Sequence[str]) -> Entries:
        """What is in these files, and in those that they include, under whatever condition."""
        waiting = list(files)
        read: Entries = {}
        while waiting:
            file = waiting.pop()
            if file in read or not _is_regular(file):
                continue
            if len(read) >= _MOST_FILES:
                raise _Refused("it has more than %d files" % _MOST_FILES)
            if _is_harmless(file):
                read[file] = []
                continue
            said = self._ask(("--file", file, "--no-includes", "--list"))
            if said is None:
                raise _Refused("%s cannot be read" % file)
            read[file] = list(_keys(said))
            included = [value for key, value in read[file] if _INCLUDE.fullmatch(key) and value]
            waiting += [_included(file, value) for value in included]
        return read

    def _judged(self, entries: Entries) -> Judged:
        told: Dict[str, None] = {}
        for key, _ in (pair for pairs in entries.values() for pair in pairs if _names_a_program(*pair)):
            if key == "core.gitproxy":
                raise _Refused("it names a program that git cannot be kept from running (%s)" % key)
            if "=" in key or "\n" in key or len(told) >= _MOST_KEYS:
                raise _Refused("it names a program in a way that cannot be overruled (%.100s)" % ascii(key))
            told[key] = None
        return Judged(tuple(self._overrules(told)), tuple(told)) if told else Judged()

    def _overrules(self, told: Dict[str, None]) -> Iterator[Tuple[str, str]]:
        machine = self._of_machine()
        if any(_CREDENTIALS.fullmatch(key) for key in told):
            yield "credential.helper", ""  # which empties the list of all of them
            for key, values in machine.items():
                if _CREDENTIALS.fullmatch(key) and "=" not in key:
                    yield from ((key, value) for value in values)
        for key in told:
            if not _CREDENTIALS.fullmatch(key) and key != "core.fsmonitor":
                yield from _set_back(key, machine)

    def _of_machine(self) -> Dict[str, List[str]]:
        """The machine's own configuration, by key."""
        if self._machine is None:
            found: Dict[str, List[str]] = {}
            for key, value in _keys(self._ask(("--includes", "--list")) or b""):
                found.setdefault(key, []).append(value)
            self._machine = found
        return self._machine


def _keys(said: bytes) -> Iterator[Tuple[str, str]]:
    for entry in said.split(b"\0"):
        key, _, value = os.fsdecode(entry).partition("\n")
        if key:
            yield key, value


def _included(file: str, value: str) -> str:
    """The file that another one includes; `..` behind a link is what the system takes it for. Raises _Refused."""
    if value.startswith(("%(", ":(")):
        raise _Refused("it includes a file by a name that only git can read (%.200s)" % value)
    return os.path.join(os.path.dirname(file), os.path.expanduser(value))


def _set_back(key: str, machine: Dict[str, List[str]]) -> Iterator[Tuple[str, str]]:
    """What makes a key count as if only the machine's own configuration were there."""
    kind, _, name = key.rpartition(".")
    usual = {"sshcommand": os.environ.get("GIT_SSH") or "ssh", "uploadpack": "git-upload-pack", "update": "checkout"}
    if kind.startswith("filter."):
        yield kind + ".required", machine.get(kind + ".required", ["false"])[-1]
    if kind.startswith("hook."):
        yield kind + ".enabled", machine.get(kind + ".enabled", ["false"])[-1]
    nothing = "false" if kind.startswith(("lfs.", "hook.")) else ""
    yield key, machine.get(key, [usual.get(name, nothing)])[-1]


def _names_a_program(key: str, value: str) -> bool:
    """Whether a key has a program for git to run."""
    if key == "core.fsmonitor":
        return value.lower() not in _NO_PROGRAM
    if key.startswith("submodule.") and not value.startswith("!"):
        return False
    return bool(value) and _RUNS.fullmatch(key) is not None and not _OF_LFS.fullmatch(value)


def _check_places(repositories: Sequence[Repository], entries: Entries) -> None:
    """Raises _Refused where a repository's files would be written elsewhere."""
    for each in repositories:
        for key, value in (pair for file in each.files for pair in entries.get(file, ())):
            place = os.path.realpath(os.path.join(each.own, value))
            if key == "core.worktree" and each.folder and place != os.path.realpath(each.folder):
                raise _Refused("it has its files in another folder (core.worktree = %.200s)" % value)


def _repositories(folder: Path) -> Iterator[Repository]:
    """The repository in a folder and its submodules, also those without files. Raises _Refused."""
    for place, own in _own_folders(folder):
        common = _pointed_to(os.path.join(own, "commondir"), "") or own
        yield Repository(own, place, tuple(_configs(*dict.fromkeys((common, own)))))
        for path in _modules(os.path.join(common, "modules")):
            yield Repository(path, "", tuple(_configs(path)))


def _modules(top: str) -> Iterator[str]:
    """The folders in which git's own folders of submodules may be, also behind links. Raises _Refused."""
    waiting, seen = [top], set()
    while waiting:
        path = waiting.pop()
        place = os.path.realpath(path)
        if place in seen or not os.path.isdir(place):
            continue
        seen.add(place)
        if len(seen) > _MOST_FOLDERS:
            raise _Refused("it has more than %d folders for submodules" % _MOST_FOLDERS)
        yield path
        names = set(os.listdir(path))
        if {"HEAD", "objects", "refs"} <= names:  # git puts no submodule into the repository of another one
            names -= _NOT_WALKED
        waiting += [os.path.join(path, name) for name in names if os.path.isdir(os.path.join(path, name))]


def _configs(*owns: str) -> Iterator[str]:
    for place in owns:
        yield from (path for path in (os.path.join(place, name) for name in _NAMES) if _is_regular(path))


def _own_folders(folder: Path) -> Iterator[Tuple[str, str]]:
    """Where a repository's files are, and git's own folder of it: where its `.git` leads, or itself where it is made
    like one. Those of its submodules too."""
    inside = [folder]
    if (folder / ".gitmodules").exists():
        for path, names, files in os.walk(str(folder)):
            if path != str(folder) and (".git" in names or ".git" in files):
                inside.append(Path(path))
            names[:] = [name for name in names if name != ".git"]
    for each in inside:
        own = each / ".git"
        if own.is_dir():
            yield str(each), str(own)
        elif _pointed_to(str(own), "gitdir: "):
            yield str(each), _pointed_to(str(own), "gitdir: ")
    if os.path.lexists(str(folder / "HEAD")) and any((folder / name).exists() for name in ("objects", "commondir")):
        yield "", str(folder)


def _pointed_to(file: str, word: str) -> str:
    """The folder that a small file of git's names, from its own folder; empty where there is no such file. It is read
    as git reads it: up to a NUL, spaces belong to the name, and links are followed before `..`."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return ""
        with open(file, "rb") as opened:
            text = os.fsdecode(opened.read(_POINTER_BYTES).rstrip(b"\r\n").partition(b"\0")[0])
        if not text.startswith(word) or text == word:
            return ""
        return os.path.realpath(os.path.join(os.path.dirname(file), text[len(word) :]))
    except OSError:
        return ""


def _is_harmless(file: str) -> bool:
    """Whether none of the keys that count here stands in it."""
    try:
        with open(file, "rb") as opened:
            text = opened.read(_SMALL_BYTES)
    except OSError:
        return False
    return len(text) < _SMALL_BYTES and _MAY_NAME_A_PROGRAM.search(text) is None


def _is_regular(file: str) -> bool:
    """Whether it is a file; False where nothing is there. Raises _Refused for a pipe or a device."""
    try:
        mode = os.stat(file).st_mode
    except OSError:
        return False
    if not stat.S_ISREG(mode):
        raise _Refused("%s is no file" % file)
    return True


def _marks(files: Iterable[str]) -> Dict[str, object]:
    """By what it is seen that a file was changed."""
    found: Dict[str, object] = {}
    for file in files:
        try:
            at = os.stat(file)
            found[file] = (at.st_mtime_ns, at.st_ctime_ns, at.st_size, at.st_ino)
        except OSError:
            found[file] = None
    return found
