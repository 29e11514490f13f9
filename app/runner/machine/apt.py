"""apt-get on the instance: system packages, as root alone, without a question, and without removing anything."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence, Tuple

from app.runner.process.children import Children, Finished, Limits

LIMITS = Limits(idle=180.0, total=900.0)
"""A mirror that is silent for so long does not come back."""
_ASK_LIMITS = Limits(idle=30.0, total=60.0)
_LOCK_SECONDS = 60
_NAME = re.compile(r"^[a-z0-9][a-z0-9+.-]{0,80}\Z")
_NEW = re.compile(r"^Inst ([a-z0-9][a-z0-9+.-]*)(?::\w+)? (\[)?", re.MULTILINE)
_CANDIDATE = re.compile(r"^([a-z0-9][a-z0-9+.-]*):$\n(?:^ .*\n)*?^ +Candidate: (?!\(none\))\S+", re.MULTILINE)
_GPU = re.compile(
    r"^(?:lib)?(?:nvidia|cuda|cudnn|nccl|cublas|cufft|curand|cusolver|cusparse|npp|nvjpeg|tensorrt|nvinfer)"
)
_OPTIONS = (
    "-y",
    "-q",
    "-o=DPkg::Lock::Timeout=%d" % _LOCK_SECONDS,
    "-o=Acquire::Retries=1",
    "-o=Acquire::http::Timeout=30",
    "-o=Acquire::https::Timeout=30",
    "-o=Dpkg::Use-Pty=0",
)
_INSTALL = (
    "--no-install-recommends",
    "--no-remove",
    "-o=Dpkg::Options::=--force-confdef",
    "-o=Dpkg::Options::=--force-confold",
)
_ENVIRON = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "DEBIAN_PRIORITY": "critical"}
_HOLDER = re.compile(r"[Cc]ould not get lock \S+?\.? It is held by process (\d+)(?: \(([\w.+-]{1,40})\))?")


@dataclass(frozen=True)
class Brought:
    """`added`: the packages that were not there before, `updated`: those that were. `problem`: why it failed, in words;
    nothing was installed then, or dpkg stopped in between."""

    added: Tuple[str, ...] = ()
    updated: Tuple[str, ...] = ()
    problem: str = ""


class Apt:
    """For one run; for one thread at a time. Its methods raise RunCancelled."""

    def __init__(self, children: Children, log: Path) -> None:
        self._children = children
        self._log = log
        self._sudo: List[str] = []
        self._fresh = False
        """Whether the lists of packages were fetched in this run."""

    def why_not(self) -> str:
        """Why it cannot be used here, in words; empty if it can."""
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            return "the instance has no apt-get (it is not Debian or Ubuntu)"
        if os.geteuid() == 0:
            return ""
        if shutil.which("sudo") and self._ask(["sudo", "-n", "true"]).ok:
            self._sudo = ["sudo", "-n", "-E"]
            return ""
        return "the SSH login is not root, and sudo wants a password"

    def install(self, wanted: Sequence[str]) -> Brought:
        """Brings these packages. A name may be several (`a|b`): the first that this release has."""
        names, unknown = self._names(wanted)
        if unknown and not self._fresh:
            finished = self._run(["update"])
            self._fresh = finished.ok
            names, unknown = self._names(wanted)
            if unknown and not finished.ok:
                return Brought(problem=_why(finished))
        if unknown:
            text = "the instance's package lists have no %s" % ", ".join(each.replace("|", " or ") for each in unknown)
            return Brought(problem=text)
        trial = self._run(["install", "-s", *_INSTALL, *names])
        if not trial.ok:
            return Brought(problem=_why(trial))
        found = [(name, bool(bracket)) for name, bracket in _NEW.findall(trial.output)]
        if any(_GPU.match(name) for name, _ in found):
            driver = next(name for name, _ in found if _GPU.match(name))
            return Brought(problem="it would change the GPU's own packages (%s)" % driver)
        if not found:
            return Brought()
        finished = self._run(["install", *_INSTALL, *names])
        if not finished.ok:
            return Brought(problem=_why(finished))
        added = tuple(name for name, is_there in found if not is_there)
        return Brought(added, tuple(name for name, is_there in found if is_there))

    def _names(self, wanted: Sequence[str]) -> Tuple[List[str], List[str]]:
        """The packages that can be had, and those that cannot, as they were asked for."""
        asked = [[name for name in each.split("|") if _NAME.match(name)] for each in wanted]
        known = set(
            _CANDIDATE.findall(self._ask(["apt-cache", "policy", *[name for some in asked for name in some]]).output)
        )
        names, unknown = [], []
        for each, some in zip(wanted, asked):
            found = next((name for name in some if name in known), None)
            if found is None:
                unknown.append(each)
            else:
                names.append(found)
        return names, unknown

    def _ask(self, argv: Sequence[str]) -> Finished:
        try:
            return self._children.run(argv, cwd=Path("/"), limits=_ASK_LIMITS, keep_bytes=1 << 18)
        except OSError as exc:
            return Finished(1, str(exc).encode("utf-8", "replace"))

    def _run(self, arguments: Sequence[str]) -> Finished:
        argv = [*self._sudo, "apt-get", *_OPTIONS, *arguments]
        try:
            return self._children.run(
                argv, cwd=Path("/"), environ=_ENVIRON, limits=LIMITS, log=self._log, keep_bytes=1 << 18
            )
        except OSError as exc:
            return Finished(1, str(exc).encode("utf-8", "replace"))


def is_name(name: str) -> bool:
    """Whether a package can be named so."""
    return _NAME.match(name) is not None


_OFFLINE = (
    r"Temporary failure resolving|Could not resolve|Could not connect|Unable to connect|Connection timed out|"
    r"Failed to fetch|Unable to fetch|Network is unreachable|Connection failed"
)
_REASONS = (
    (r"dpkg was interrupted", "an earlier installation was cut short: run dpkg --configure -a on the instance first"),
    (r"[Cc]ould not get lock|[Uu]nable to (?:acquire|lock)", "another program holds dpkg's lock"),
    (r"don't have enough free space|No space left on device", "the instance's disk is full"),
    (_OFFLINE, "its package servers were not reached"),
    (r"Unable to locate package (?P<name>\S{1,80})", "the instance's package lists have no {name}"),
    (r"Package '?(?P<name>[\w.+-]{1,80})'? has no installation candidate", "no release has {name}"),
    (r"Packages need to be removed|would be removed", "other packages would have to be removed"),
    (r"unmet dependencies|held broken packages", "the instance's packages do not fit together (see apt-get check)"),
    (r"Permission denied|are you root", "the user of the SSH login may not do that"),
    (r"is not signed|NO_PUBKEY|signature", "the signature of its package lists is not known"),
    (r"Read-only file system", "its disk can only be read"),
)
"""What apt-get prints, and what that means behind "could not be installed: "."""


def _why(finished: Finished) -> str:
    """In words that stand behind "could not be installed: "."""
    if finished.stopped:
        return "apt-get did not come to an end in time (%s limit)" % finished.stopped
    holder = _HOLDER.search(finished.output)
    if holder:
        return "another program (%s, process %s) holds dpkg's lock" % (holder.group(2) or "unknown", holder.group(1))
    for pattern, words in _REASONS:
        found = re.search(pattern, finished.output)
        if found:
            return words.format(**found.groupdict())
    return "apt-get failed (%s)" % (finished.last_lines(1)[:200] or "status %d" % finished.code)
