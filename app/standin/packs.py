"""Making node packs: real git repositories, quickly, in one process each.

A pack is written as a stream for git-fast-import(1), which makes commit and pack file at once.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.standin.git_cgi import git_program
from app.standin.git_server import GitServer

_AUTHOR = "Stand-in <standin@example.invalid> 1700000000 +0000"
_PART_BYTES = 200_000
_BRANCH = "refs/heads/main"
_CONFIG = """[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	compression = 0
[pack]
	compression = 0
[fastimport]
	unpackLimit = 1
[gc]
	auto = 0
[http]
	receivepack = false
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
	allowReachableSHA1InWant = true
"""


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that can be cloned. `commits` are its commits, oldest first."""

    owner: str
    name: str
    url: str
    commits: tuple[str, ...]

    @property
    def repo(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    @property
    def github_url(self) -> str:
        """The address that a stand-in with `git_base_url` leads to the same repository."""
        return f"https://github.com/{self.repo}"

    @property
    def commit(self) -> str:
        """What the branch points to."""
        return self.commits[-1]


@dataclass(frozen=True, slots=True)
class PackSource:
    """What is in a pack.

    imports: modules that its `__init__.py` imports; requirements: text of `requirements_file`; payload_bytes: size of
    files that cannot be compressed; submodules: packs by their path in this one; history: number of commits, each with
    another VERSION; tags: commit numbers (0 is the oldest) by tag; broken_import: what its import raises.
    """

    files: Mapping[str, str | bytes] = field(default_factory=dict)
    imports: Sequence[str] = ()
    requirements: str | None = None
    requirements_file: str = "requirements.txt"
    install_py: str | None = None
    payload_bytes: int = 0
    submodules: Mapping[str, Pack] = field(default_factory=dict)
    history: int = 1
    tags: Mapping[str, int] = field(default_factory=dict)
    broken_import: str | None = None


def make_pack(server: GitServer, owner: str, name: str, source: PackSource | None = None, **fields: Any) -> Pack:
    """Make the repository `owner/name` on the server's disk, from `source` or from a PackSource's fields by name.

    The same source gives the same commits.
    """
    source = replace(source or PackSource(), **fields)
    path = server.path_of(owner, name)
    for folder in ("info", "objects/info", "objects/pack", "refs/heads", "refs/tags"):
        (path / folder).mkdir(parents=True)
    (path / "HEAD").write_text(f"ref: {_BRANCH}\n", "ascii")
    (path / "config").write_text(_CONFIG, "ascii")
    (path / "info" / "attributes").write_text("*.bin -delta\n", "ascii")  # there is nothing alike to look for
    commits = _import(path, _stream(f"{owner}/{name}", name, source))
    return Pack(owner, name, f"{server.url}/{owner}/{name}", commits)


def add_commit(server: GitServer, pack: Pack, files: Mapping[str, str | bytes]) -> Pack:
    """One more commit on the pack's branch, with these files added or replaced."""
    stream = [
        _commit_head(len(pack.commits) + 1, _BRANCH),
        f"from {_BRANCH}^0\n".encode(),
        *_file_lines(files),
        b"get-mark :1\n",
    ]
    commits = _import(server.path_of(pack.owner, pack.name), stream)
    return Pack(pack.owner, pack.name, pack.url, pack.commits + commits)


def payload(seed: str, size: int) -> bytes:
    """Bytes that cannot be compressed, the same for the same seed."""
    return random.Random(seed).randbytes(size)  # noqa: S311  # nobody's secret, and the same each time


def _import(path: Path, stream: Sequence[bytes] | Iterator[bytes]) -> tuple[str, ...]:
    """Feed git fast-import; the commits that it was asked to name."""
    environment = {"GIT_CONFIG_NOSYSTEM": "1", "HOME": "/dev/null", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [git_program(), "--git-dir", str(path), "fast-import", "--quiet", "--done", "--big-file-threshold=1m"],
        input=b"".join([*stream, b"done\n"]),
        capture_output=True,
        check=True,
        env=environment,
        timeout=120,
    )
    return tuple(done.stdout.decode("ascii").split())


def _stream(seed: str, name: str, source: PackSource) -> Iterator[bytes]:
    for number in range(source.history):
        yield _commit_head(number + 1, _BRANCH)
        yield from _file_lines({"VERSION": f"{number + 1}\n"})
        if number == 0:
            yield from _file_lines(_all_files(seed, name, source))
            for path, submodule in source.submodules.items():
                yield f"M 160000 {submodule.commit} {path}\n".encode()
        yield b"get-mark :1\n"
        for tag, tagged in source.tags.items():
            if tagged == number:
                yield f"reset refs/tags/{tag}\nfrom :1\n\n".encode()


def _commit_head(number: int, branch: str) -> bytes:
    message = f"Version {number}\n".encode()
    return f"commit {branch}\nmark :1\ncommitter {_AUTHOR}\ndata {len(message)}\n".encode() + message


def _all_files(seed: str, name: str, source: PackSource) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {"__init__.py": _init_py(name, source), "README.md": f"# {name}\n"}
    if source.requirements is not None:
        files[source.requirements_file] = source.requirements
    if source.install_py is not None:
        files["install.py"] = source.install_py
    if source.payload_bytes:  # in parts: git counts its progress in objects
        content = payload(seed, source.payload_bytes)
        for start in range(0, source.payload_bytes, _PART_BYTES):
            files[f"models/part{start // _PART_BYTES:03}.bin"] = content[start : start + _PART_BYTES]
    if source.submodules:
        lines = (f'[submodule "{p}"]\n\tpath = {p}\n\turl = {s.url}\n' for p, s in source.submodules.items())
        files[".gitmodules"] = "".join(lines)
    return files | dict(source.files)


def _init_py(name: str, source: PackSource) -> str:
    """A pack's entry: imports what it needs, then has one node."""
    imports = "".join(f"import {module}\n" for module in source.imports)
    failure = f"raise {source.broken_import}\n" if source.broken_import else ""
    node = name.replace("-", "_")
    return (
        f'"""{name}: a node pack of the stand-in."""\n\n{imports}{failure}\n\n'
        "class Node:\n"
        '    """Gives its input back."""\n\n'
        '    RETURN_TYPES = ("STRING",)\n    FUNCTION = "run"\n    CATEGORY = "stand-in"\n\n'
        "    @classmethod\n"
        "    def INPUT_TYPES(cls):\n"
        '        return {"required": {"text": ("STRING", {})}}\n\n'
        "    def run(self, text):\n        return (text,)\n\n\n"
        f'NODE_CLASS_MAPPINGS = {{"{node}": Node}}\nNODE_DISPLAY_NAME_MAPPINGS = {{"{node}": "{name}"}}\n'
    )


def _file_lines(files: Mapping[str, str | bytes]) -> Iterator[bytes]:
    for path, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        yield f"M 100644 inline {path}\ndata {len(raw)}\n".encode()
        yield raw
        yield b"\n"
