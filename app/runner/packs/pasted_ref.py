"""Which branch a pasted address names, where only the repository can tell it from a folder: `/tree/feature/x/y`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Set

from app.protocol.refs import TREE, candidates, is_hash
from app.protocol.snapshot import Problem
from app.runner.context import Context, PackResult
from app.runner.machine.git import Git
from app.runner.packs.checkout import with_retries
from app.runner.process.children import Finished

_LISTED = re.compile(r"^[0-9a-f]{40,64}\trefs/(?:heads|tags)/(\S+)$", re.MULTILINE)
_SHOWN = 4
_PREFIXES = ("refs/heads/", "refs/tags/")


class RefNotSettled(Exception):
    """The repository could not be asked, or has none of the names; `problem` says which."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def settle(context: Context, result: PackResult, *, is_kept: bool) -> None:
    """Puts the ref that is meant into `result.pack`, or sets `result.problem`. A pack that `is_kept` is not asked for
    over the network: its own clone says. Raises RunCancelled, OSError."""
    ref = result.pack.ref
    if ref is None or not ref.startswith(TREE):
        return
    log = context.task.node_log(result.pack.name)
    try:
        if is_kept:
            name = _local(context.git(log), result.folder, ref)
        else:
            name = meant(context, result.pack.repo_url, ref, log, context.staging)
    except RefNotSettled as exc:
        result.problem = exc.problem
    else:
        result.pack = replace(result.pack, ref=name)


def meant(context: Context, url: str, ref: str, log: Path, folder: Path) -> str:
    """The longest branch or tag of the repository that `ref` (`refs.TREE`) can mean; a commit where it begins with a
    hash and no branch or tag is called so. `folder`: any that is there. Raises RefNotSettled, RunCancelled, OSError."""
    names = candidates(ref)
    listed: List[str] = []

    def attempt(git: Git) -> Finished:
        patterns = [prefix + name for name in names for prefix in _PREFIXES]
        finished = git.network("ls-remote", "--", url, *patterns, cwd=folder)
        listed[:] = _LISTED.findall(finished.output) if finished.ok else []
        return finished

    problem = with_retries(context, log, attempt)
    if problem is not None:
        raise RefNotSettled(problem)
    found = _longest(ref, set(listed))
    if found is None and is_hash(names[-1]):
        return names[-1]
    if found is None:
        listed_names = ["'%s'" % name for name in names[:_SHOWN]] + (["…"] if len(names) > _SHOWN else [])
        text = "The repository has no branch or tag that is called %s." % " or ".join(listed_names)
        raise RefNotSettled(
            Problem("bad_ref", text, "Correct the address. Without /tree/… it means the default branch.")
        )
    return found


def folder_in(asked: Optional[str], settled: Optional[str]) -> str:
    """The folder behind the branch in what was pasted; empty where there is none."""
    if asked is None or settled is None or not asked.startswith(TREE + settled + "/"):
        return ""
    return asked[len(TREE + settled + "/") :]


def warn_of_folder(context: Context, result: PackResult, asked: Optional[str]) -> None:
    """Says that the whole repository came, where the address led to a node pack in a folder of it."""
    folder = folder_in(asked, result.pack.ref)
    if folder and (result.folder / folder / "__init__.py").is_file():
        text = "The address of %s leads to its folder %s. The whole repository was cloned." % (result.pack.name, folder)
        hint = "If ComfyUI does not load it, the repository holds several packs: its README says how to install one."
        context.warn("whole_repository", text, hint)


def _longest(ref: str, present: Set[str]) -> Optional[str]:
    return next((name for name in candidates(ref) if name in present), None)


def _local(git: Git, folder: Path, ref: str) -> str:
    """What a clone that stays knows; all of the text where it knows none of the names."""
    said = git.line("for-each-ref", "--format=%(refname)", cwd=folder) or ""
    present = {re.sub(r"^refs/(?:heads|tags|remotes/origin)/", "", line) for line in said.splitlines()}
    return _longest(ref, present) or ref[len(TREE) :]
