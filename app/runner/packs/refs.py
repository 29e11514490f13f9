"""What a ref of the list means in its repository: one rule for clone, update and reinstall.

A branch comes before a tag of the same name, as with `git clone --branch`, and names come before the first digits of a
commit. Branches, tags and other refs (`refs/pull/7/head`) may be written in full.
"""

from __future__ import annotations

import difflib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Tuple

from app.runner.machine.git import Git
from app.runner.process.children import Finished

BRANCHES, TAGS = "refs/heads/", "refs/tags/"
_COMMIT = re.compile(r"^[0-9a-fA-F]{40}\Z")
_DIGITS = re.compile(r"^[0-9a-fA-F]{7,39}\Z")
_PULL = re.compile(r"^pull/(\d{1,9})(?:/head)?\Z")
_LISTED = re.compile(r"^([0-9a-f]{40})\t(\S+)$", re.MULTILINE)
_HEAD_IS = re.compile(r"^ref: (refs/heads/(?!-)\S{1,200})\tHEAD$", re.MULTILINE)
_SIMILAR = 3
_NAME = re.compile(r"^[\x21-\x7e]{1,100}\Z")


@dataclass(frozen=True)
class Target:
    """What is to be checked out. `name` is the ref's name at the remote (`refs/heads/main`), empty for a commit that
    was named by its hash; `commit` has 40 hex digits, empty where it is not known yet."""

    name: str
    commit: str
    both: bool = False
    """A branch and a tag have that name; this is the branch."""

    @property
    def branch(self) -> str:
        """The branch's short name; empty for anything else."""
        return self.name[len(BRANCHES) :] if self.name.startswith(BRANCHES) else ""

    @property
    def tag(self) -> str:
        """The tag's short name; empty for anything else."""
        return self.name[len(TAGS) :] if self.name.startswith(TAGS) else ""


def is_commit(ref: Optional[str]) -> bool:
    """Whether a ref is a whole commit hash, in whatever case."""
    return bool(ref and _COMMIT.match(ref))


def find(git: Git, url: str, ref: str, scratch: Path) -> Tuple[Finished, Optional[Target]]:
    """What `ref` is in the repository at `url`, and how the last git command ended: well, if it was found. `scratch`: a
    folder that does not exist yet, for the history in which a commit's first digits are looked up; it is removed
    again. Raises OSError, RunCancelled."""
    if is_commit(ref):
        return Finished(0, b""), Target("", ref.lower())
    names = _candidates(ref)
    finished = git.network("ls-remote", "--", url, *names, *[name + "^{}" for name in names], cwd=scratch.parent)
    if not finished.ok:
        return finished, None
    listed = _listed(finished.output)
    present = [name for name in names if name in listed and "/-" not in name]
    if present:
        name = present[0]
        both = name == BRANCHES + ref and TAGS + ref in listed
        return finished, Target(name, listed.get(name + "^{}", listed[name]), both)
    everything = (git.ask("ls-remote", "--heads", "--tags", "--", url, cwd=scratch.parent) or b"").decode(
        "utf-8", "replace"
    )
    if _DIGITS.match(ref):
        finished, commit = _by_digits(git, url, ref.lower(), _listed(everything), scratch)
        return finished, Target("", commit) if commit else None
    return _nothing(ref, _similar(ref, _listed(everything))), None


def default_branch(git: Git, remote: str, branch: Optional[str], cwd: Path) -> Tuple[Finished, Optional[Target], bool]:
    """The default branch of a remote (None where it has none), and whether it has `branch`."""
    names = ["HEAD", *([BRANCHES + branch] if branch else [])]
    finished = git.network("ls-remote", "--symref", "--", remote, *names, cwd=cwd)
    listed = _listed(finished.output) if finished.ok else {}
    head = _HEAD_IS.search(finished.output)
    found = Target(head.group(1), listed["HEAD"]) if head and "HEAD" in listed else None
    return finished, found, bool(branch and BRANCHES + branch in listed)


def has_commit(git: Git, url: str, commit: str, scratch: Path) -> bool:
    """Whether a repository's branches and tags have a commit: only their history is fetched. Raises OSError."""
    return _by_digits(git, url, commit, {}, scratch)[1] == commit


def is_at(git: Git, checkout: Path, ref: str) -> bool:
    """Whether a checkout is at what `ref` means, as far as it knows without asking anybody."""
    head = git.head(checkout)
    if is_commit(ref):
        return head == ref.lower()
    if git.line("symbolic-ref", "--quiet", "HEAD", cwd=checkout) in _candidates(ref):
        return True
    if _DIGITS.match(ref) and head and head.startswith(ref.lower()):
        return True
    tracked = [name.replace(BRANCHES, "refs/remotes/origin/", 1) for name in _candidates(ref)]
    for name in tracked:
        commit = git.line("rev-parse", "--verify", "--quiet", name + "^{commit}", cwd=checkout)
        if commit:
            return commit == head  # the first that is there is what is meant
    return False


def _candidates(ref: str) -> List[str]:
    """The names that a ref may have at the remote, the first of which counts."""
    if ref.startswith("refs/"):
        return [ref]
    names = [BRANCHES + ref, TAGS + ref]
    for kind in ("heads/", "tags/"):
        names += ["refs/" + ref] if ref.startswith(kind) else []
    names += [BRANCHES + ref[len("origin/") :]] if ref.startswith("origin/") else []
    pull = _PULL.match(ref)
    return [*names, "refs/pull/%s/head" % pull.group(1)] if pull else names


def _listed(output: str) -> Dict[str, str]:
    """The refs that git has listed, and what they point to."""
    return {name: commit for commit, name in _LISTED.findall(output)}


def _by_digits(git: Git, url: str, digits: str, listed: Mapping[str, str], scratch: Path) -> Tuple[Finished, str]:
    """The one commit that begins with these digits; empty where there is none, or more."""
    tips = {commit for name, commit in listed.items() if commit.startswith(digits) and name + "^{}" not in listed}
    if len(tips) == 1:
        return Finished(0, b""), tips.pop()
    shutil.rmtree(str(scratch), ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        git.local("init", "-q", cwd=scratch)
        specs = ["+%s*:refs/found/%s*" % (kind, kind) for kind in (BRANCHES, TAGS)]
        finished = git.network("fetch", "--progress", "--filter=tree:0", "--", url, *specs, cwd=scratch)
        if not finished.ok:
            return finished, ""
        commit = git.line("rev-parse", "--verify", "--quiet", digits + "^{commit}", cwd=scratch)
    finally:
        shutil.rmtree(str(scratch), ignore_errors=True)
    return (finished, commit) if commit else (_nothing(digits, []), "")


def _nothing(ref: str, similar: List[str]) -> Finished:
    """As git ends when it is asked for a ref that there is not."""
    also = "; similar are: %s" % ", ".join(similar) if similar else ""
    return Finished(128, ("fatal: couldn't find remote ref %s%s\n" % (ref, also)).encode())


def _similar(ref: str, listed: Mapping[str, str]) -> List[str]:
    """The names that somebody may have meant."""
    kinds = (BRANCHES, TAGS)
    names = {name[len(kind) :] for name in listed for kind in kinds if name.startswith(kind)}
    lower = {name.lower(): name for name in sorted(names) if _NAME.match(name) and not name.endswith("^{}")}
    return [lower[name] for name in difflib.get_close_matches(ref.lower(), lower, _SIMILAR)]
