"""uv on the instance: the one that is there, or one of our own beside the runner, never in ComfyUI's environment."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from app.runner.machine.pip_settings import WHERE
from app.runner.process.children import Children, Finished, Limits
from app.runner.process.locks import try_lock
from app.runner.process.paths import tools_folder
from app.runner.resolve.fetched_tools import UV, is_refused

_OLDEST = (0, 5)
"""Older ones do not have the options that are used here."""
_FETCHED = tuple(map(int, UV.version.split(".")))
_ASK_LIMITS = Limits(idle=20.0, total=20.0)
_GET_LIMITS = Limits(idle=180.0, total=600.0)
_USUAL_PATHS = ("/usr/local/bin/uv", "/usr/bin/uv", "/opt/uv/uv", "~/.local/bin/uv", "~/.cargo/bin/uv")


def ensure_uv(
    children: Children,
    python: Optional[str],
    pause: Callable[[float], None],
    refused: Callable[[], None],
    fetched: Callable[[], None],
) -> Optional[str]:
    """The path of a uv; None when none is there and none can be had. `python`: ComfyUI's, whose pip may fetch one.
    `pause` waits while another run fetches it; `refused` is called where only another file than the one that is
    expected can be had, `fetched` once its folder was written to. Raises RunCancelled."""
    tools = tools_folder()
    own = tools / "uv" / "bin" / "uv"
    found = _existing(children, own, python)
    if found:
        return found
    lock = try_lock(tools / "lock")
    while lock is None:
        pause(0.5)
        lock = try_lock(tools / "lock")
    try:
        found = _existing(children, own, python)
        if found is None:
            found = _fetch(children, tools / "uv", own, python, refused)
            fetched()
        return found
    finally:
        os.close(lock)


def _existing(children: Children, own: Path, python: Optional[str]) -> Optional[str]:
    candidates = [shutil.which("uv") or ""] + [os.path.expanduser(place) for place in _USUAL_PATHS]
    if python:
        candidates.append(os.path.join(os.path.dirname(python), "uv"))
    for place in dict.fromkeys(candidates):
        if _version_of(children, place) >= _OLDEST:
            return place
    # One of an earlier release of ours was not compared with any hash.
    return str(own) if _version_of(children, str(own)) == _FETCHED else None


def _version_of(children: Children, place: str) -> Tuple[int, ...]:
    """Of a uv that runs; empty where there is none."""
    if not (os.path.isfile(place) and os.access(place, os.X_OK)):
        return ()
    try:
        finished = children.run([place, "--version"], cwd=Path("/"), limits=_ASK_LIMITS)
    except OSError:
        return ()
    version = re.search(r"^uv (\d{1,9}(?:\.\d{1,9}){1,3})", finished.output, re.MULTILINE) if finished.ok else None
    return tuple(map(int, version.group(1).split("."))) if version else ()


def _fetch(
    children: Children, folder: Path, own: Path, python: Optional[str], refused: Callable[[], None]
) -> Optional[str]:
    """Into an environment of its own, with the pip that comes with a Python; else by ComfyUI's pip, beside it. Only the
    release that is expected, with one of its hashes."""
    shutil.rmtree(str(folder), ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = folder.parent / "uv.log"
    pythons = [path for path in (sys.executable, "/usr/bin/python3", python) if path and os.access(path, os.X_OK)]
    pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", *UV.arguments(folder.parent)]
    ways: List[Tuple[List[str], Optional[List[str]]]] = [
        ([base, "-m", "venv", "--clear", str(folder)], [str(folder / "bin" / "python"), *pip])
        for base in dict.fromkeys(pythons)
    ]
    if python:
        ways.append(([python, *pip, "--target", str(folder)], None))
    for first, then in ways:
        said = [_ended(children, first, log)]
        if then is not None and said[0] is not None and said[0].ok:
            said.append(_ended(children, then, log))
        if all(each is not None and each.ok for each in said) and _version_of(children, str(own)) == _FETCHED:
            return str(own)
        if any(each is not None and is_refused(each.output) for each in said):
            refused()  # another pip asks the same index
            return None
    return None


def _ended(children: Children, argv: List[str], log: Path) -> Optional[Finished]:
    try:
        return children.run(argv, cwd=log.parent, limits=_GET_LIMITS, log=log, unset=WHERE)
    except OSError:
        return None
