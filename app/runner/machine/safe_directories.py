"""Letting the git of scripts work in folders of ComfyUI's user, which root's git refuses ("dubious ownership").

Named are exactly the repositories of the pack and of ComfyUI: git goes on to refuse what other users have elsewhere.
Source: git-config(1), safe.directory. From git 2.38 on variables of the environment count. Before that, git reads it
from files only; from 2.32 on the environment can name one. Older ones that have the check (Ubuntu 20.04, Debian 11)
cannot be told, so the script's failure says what to do.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from app.runner.process.children import Children, Limits

_BY_VARIABLES = (2, 38)
_BY_FILE = (2, 32)
_ASK = Limits(idle=20.0, total=20.0)
_SYSTEM_FILE = "/etc/gitconfig"


def repositories_in(folder: Path) -> List[Path]:
    """A folder and the repositories in it, at any depth: submodules, and what the pack cloned itself."""
    found = [folder]
    for path, names, files in os.walk(str(folder)):
        if ".git" in names or ".git" in files:
            found.append(Path(path))
        names[:] = [name for name in names if name != ".git"]
    return list(dict.fromkeys(found))


def git_version(children: Children, program: str) -> Tuple[int, int]:
    """Its first two numbers; zeros where it does not say. Raises RunCancelled."""
    try:
        said = children.run([program, "--version"], cwd=Path("/"), limits=_ASK).output
    except OSError:
        return 0, 0
    version = re.search(r"git version (\d+)\.(\d+)", said)
    return (int(version.group(1)), int(version.group(2))) if version else (0, 0)


def environ_for(folders: Sequence[Path], version: Tuple[int, int], file: Path) -> Dict[str, str]:
    """The variables that let a git of this version work in `folders`, beside what the login's variables set. `file`:
    where a configuration file may be written. Raises OSError."""
    paths = list(dict.fromkeys(os.path.realpath(str(folder)) for folder in folders))
    if _BY_FILE <= version < _BY_VARIABLES:
        return _by_file(paths, file)
    given = os.environ.get("GIT_CONFIG_COUNT", "")
    first = int(given) if given.isdigit() else 0
    environ = {"GIT_CONFIG_COUNT": str(first + len(paths))}
    for number, path in enumerate(paths, first):
        environ["GIT_CONFIG_KEY_%d" % number] = "safe.directory"
        environ["GIT_CONFIG_VALUE_%d" % number] = path
    return environ


def environ_for_ours(version: Tuple[int, int], file: Path) -> Dict[str, str]:
    """The variables for the runner's own git, which trusts every folder that it is sent to. Newer ones take that from
    the command line (`Git`). Raises OSError."""
    return _by_file(["*"], file) if _BY_FILE <= version < _BY_VARIABLES else {}


def _by_file(directories: Sequence[str], file: Path) -> Dict[str, str]:
    """In the system's configuration, so that `git config --global` still writes to the login's."""
    lines = ["[include]", "\tpath = %s" % _quoted(os.environ.get("GIT_CONFIG_SYSTEM", _SYSTEM_FILE)), "[safe]"]
    lines += ["\tdirectory = %s" % _quoted(directory) for directory in directories]
    file.write_text("\n".join([*lines, ""]), "utf-8", "surrogateescape")
    return {"GIT_CONFIG_SYSTEM": str(file)}


def _quoted(value: str) -> str:
    return '"%s"' % value.replace("\\", "\\\\").replace('"', '\\"')
