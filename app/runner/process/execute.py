"""Running one program outside of a run, or as a child of one: the same call for both."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import Callable, Dict, List, Optional

from app.runner.process import audit, git_environ

_NOT_PASSED_ON = frozenset(
    {
        *git_environ.NAMES,
        *("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"),
        *("NODEFERRY_TOKEN", "NODEFERRY_DATABASE_URL"),
    }
)
CONSTRAINTS = ("PIP_CONSTRAINT", "UV_CONSTRAINT")
"""Images name files of constraints by these (NVIDIA's do)."""
_RESOLVER = {"RES_OPTIONS": "timeout:1 attempts:5"}
"""A lost question for a host's address is asked again after 1 s, then 2, 4 and so on, not after resolv.conf(5)'s 5 s:
each uv asks anew, and containers' name servers drop what comes in bursts. The instance's own setting comes first."""

Execute = Callable[[List[str], float], str]
"""Runs a program for some seconds at most and gives what it wrote. Raises OSError when it does not run or takes
longer."""


def execute(argv: List[str], seconds: float) -> str:
    """Runs a program that is nobody's child: a cancel does not end it."""
    entry = audit.begin(argv)
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            cwd="/",
            env=base_environ(),
            check=False,
        )
        entry.end(done.returncode)
    except subprocess.TimeoutExpired:
        raise too_long(seconds) from None
    finally:
        entry.end(how="did not end by itself")
    return done.stdout.decode("utf-8", "replace")


def too_long(seconds: float) -> OSError:
    """A program did not end in time."""
    return OSError(errno.ETIMEDOUT, "it did not end in %d seconds" % seconds)


def existing_files(words: Optional[str]) -> List[str]:
    """Of a variable that names files for pip or uv, those that are there: both do nothing at all where one is
    missing."""
    return [word for word in (words or "").split() if "://" in word or (os.path.isabs(word) and os.path.exists(word))]


def base_environ() -> Dict[str, str]:
    """The environment of every program: the login's, with a locale that programs can print in, and with nothing that
    would ask questions."""
    fixed = {
        "LC_ALL": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "DEBIAN_FRONTEND": "noninteractive",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GCM_INTERACTIVE": "never",
    }
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    for name in CONSTRAINTS:
        if name in kept:
            kept[name] = " ".join(existing_files(kept[name]))
    path = kept.get("PATH", "")
    extra = [folder for folder in ("/usr/local/bin", "/usr/bin", "/bin") if folder not in path.split(":")]
    return {**_RESOLVER, **kept, "PATH": ":".join([part for part in [path, *extra] if part]), **fixed}
