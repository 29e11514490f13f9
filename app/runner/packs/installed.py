"""What is in custom_nodes already, and where each folder says that it comes from. Read from files alone: no program is
started, no server asked.

A pack may stand there as a clone, as a copy that ComfyUI-Manager took from the registry (`.tracking`), or as the
content of an archive (`NAME-main`); under its repository's name, the registry's, or any other; and disabled
(`NAME.disabled`, `.disabled/NAME@VERSION`).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Iterator, List, Pattern

from app.protocol.repo_identity import same_repo

TRACKING = ".tracking"
_BYTES = 256 * 1024
_MOST_FOLDERS = 2000
_REPOSITORY = re.compile(
    r"^[ \t]*[\"']?repository[\"']?[ \t]*=[ \t]*[\"']([^\"'\n]{1,1000})[\"']", re.IGNORECASE | re.MULTILINE
)
_VERSION = re.compile(r"^[ \t]*version[ \t]*=[ \t]*[\"']([^\"'\n]{1,100})[\"']", re.MULTILINE)
_NAME = re.compile(r"^[ \t]*name[ \t]*=[ \t]*[\"']([^\"'\n]{1,200})[\"']", re.MULTILINE)
_REMOTE = re.compile(r"^[ \t]*\[remote \"([^\"\n]{1,200})\"\]([^\[]*)", re.MULTILINE)
_URL = re.compile(r"^[ \t]*url[ \t]*=[ \t]*\"?([^\s\"]{1,2000})\"?[ \t]*$", re.IGNORECASE | re.MULTILINE)
_OURS = ("replaced", "rolled_back")
"""Behind the @ in the name of a folder that a run of ours has put aside: nobody has disabled that."""
_UNPACKED = re.compile(
    r"^(?P<name>.+?)[-_](?:main|master|dev|develop|nightly|v?\d+(?:\.\w+)*|[0-9a-f]{7,40})(?: ?\(\d+\))?$",
    re.IGNORECASE,
)
"""The folder in an archive of a branch, a tag or a commit, as forges name it, and as a second download is named."""


class Kind(Enum):
    """In which form a pack is there."""

    CLONE = "clone"
    REGISTRY = "registry"
    FILES = "files"
    """Files without a record of where they came from."""


@dataclass(frozen=True)
class Installed:
    """One folder. `address`: of its repository as its remote or its pyproject.toml names it, empty where neither does;
    `project`: the pack's name in its pyproject.toml; `repository`: what that file names."""

    path: Path
    kind: Kind
    disabled: bool
    address: str
    project: str
    repository: str

    @property
    def name(self) -> str:
        """The pack's name as the folder has it, without what says that it is disabled, and in which version."""
        name = self.path.name
        if self.path.parent.name == ".disabled":
            return name.partition("@")[0]
        return name[: -len(".disabled")] if name.lower().endswith(".disabled") else name

    @property
    def unpacked_name(self) -> str:
        """The repository's name where the folder is named as an archive's; else empty."""
        found = _UNPACKED.match(self.name) if self.kind is Kind.FILES else None
        return found.group("name") if found else ""

    def names(self, url: str) -> bool:
        """Whether it says, in whatever way, that it comes from that address."""
        return any(each and same_repo(each, url) for each in (self.address, self.repository))


def is_there(folder: Path) -> bool:
    """Whether something is in the way of a clone. An empty folder is not."""
    if folder.is_dir() and not folder.is_symlink():
        return any(folder.iterdir())
    return os.path.lexists(str(folder))


def scan(custom_nodes: Path) -> List[Installed]:
    """Each folder that may be a pack: those that ComfyUI loads first, in the order of their names."""
    enabled = [_read(path) for path in _folders(custom_nodes)]
    hidden = [_read(path) for path in _folders(custom_nodes / ".disabled")]
    return sorted([*enabled, *hidden], key=lambda each: each.disabled)


def project_name(folder: Path) -> str:
    """What the pyproject.toml in a folder calls its pack; empty where it does not."""
    return _in_project(folder, _NAME)


def project_version(folder: Path) -> str:
    """The version in the pyproject.toml of a folder, by which ComfyUI-Manager knows it; empty where it has none."""
    found = _in_project(folder, _VERSION)
    return found if found.isascii() and found.isprintable() else ""


def is_registry_copy(folder: Path) -> bool:
    """Whether a folder was installed from ComfyUI's registry: by us, or by Manager."""
    return (folder / TRACKING).is_file() and not (folder / ".git").exists()


def commit_of(folder: Path) -> str:
    """The commit that is checked out in a clone, as its files say; empty where they do not."""
    git = folder / ".git"
    _, found, ref = _text(git / "HEAD").strip().partition("ref: ")
    if not found:
        return _text(git / "HEAD").strip()
    if not re.match(r"^refs/(?!.*\.\.)[\w./@+-]{1,300}$", ref):
        return ""
    packed = re.search(r"^([0-9a-f]{40,64}) %s$" % re.escape(ref), _text(git / "packed-refs"), re.MULTILINE)
    return _text(git / ref).strip() or (packed.group(1) if packed else "")


def _in_project(folder: Path, pattern: Pattern[str]) -> str:
    _, found, rest = ("\n" + _text(folder / "pyproject.toml").replace("\r\n", "\n")).partition("\n[project]")
    value = pattern.search(rest.partition("\n[")[0]) if found else None
    return value.group(1) if value else ""


def _folders(parent: Path) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(str(parent)), key=lambda entry: entry.name)[:_MOST_FOLDERS]
    except OSError:
        return
    for entry in entries:
        ours = ".nodeferry-" in entry.name or entry.name.partition("@")[2].startswith(_OURS)
        if not (ours or entry.name.startswith((".", "__"))) and entry.name.isprintable() and _is_folder(entry):
            yield parent / entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _read(path: Path) -> Installed:
    disabled = path.parent.name == ".disabled" or path.name.lower().endswith(".disabled")
    found = _REPOSITORY.search(_text(path / "pyproject.toml"))
    repository = found.group(1).strip() if found else ""
    kind, address = Kind.FILES, repository
    if (path / ".git").exists():
        kind, address = Kind.CLONE, _origin(path / ".git")
    elif (path / TRACKING).is_file():
        kind = Kind.REGISTRY
    return Installed(path, kind, disabled, address, project_name(path), repository)


def _origin(git: Path) -> str:
    """The address of a checkout's origin, else of its only remote."""
    config = git / "config"
    if git.is_file():  # a worktree, or a submodule
        inner = git.parent / _text(git).partition("gitdir:")[2].strip()
        config = inner / "config"
        if not os.path.isfile(str(config)):  # a name may be too long for any file
            config = inner / _text(inner / "commondir").strip() / "config"
    remotes = {}
    for name, lines in _REMOTE.findall(_text(config)):
        url = _URL.search(lines)
        if url:
            remotes[name] = url.group(1)
    return remotes.get("origin") or (next(iter(remotes.values())) if len(remotes) == 1 else "")


def _text(path: Path) -> str:
    try:
        if not os.path.isfile(str(path)):
            return ""
        with open(str(path), "rb") as file:
            return file.read(_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
