"""Why things fail: signatures of real messages, the reason code of each, and what to do about it.

One table a program; the first signature that is found wins. What none knows stays `…_failed` with the
program's last lines.
"""

from __future__ import annotations

import errno
import re
from typing import Mapping, Sequence, Tuple

from app.protocol.snapshot import Problem
from app.runner.children import Finished
from app.runner.uv_words import explain, shortened

_NOT_FOUND = "Check the repository's address; it may have been renamed or removed."
_LOGIN = "If it is private, set up git's credentials on the instance; if not, check its address."
_NETWORK = "Check the instance's network; then start again: packs that are there are kept."
_DISK = "Free some space on the instance's disk (or its quota), then start again."

Signature = Tuple[str, str, str, str]
"""Pattern, reason code, message, hint."""

GIT: Sequence[Signature] = (
    (r"No space left on device|Disk quota exceeded", "disk_full", "The instance's disk is full.", _DISK),
    (r"Read-only file system", "read_only", "The folder cannot be written: it is on a read-only file system.", _DISK),
    (
        (
            r"could not read (Username|Password)|terminal prompts disabled|Authentication failed|"
            r"returned error: 40[13]|Permission denied \(publickey"
        ),
        "repository_not_found_or_private",
        "The repository does not exist or needs a login.",
        _LOGIN,
    ),
    (
        r"repository '.*' not found|Repository not found|returned error: 404|does not appear to be a git repository",
        "repository_not_found",
        "The repository does not exist.",
        _NOT_FOUND,
    ),
    (
        r"Remote branch .* not found|couldn't find remote ref|not our ref|reference is not a tree|unadvertised object",
        "bad_ref",
        "The repository has no such branch, tag or commit.",
        "Check the ref in the manifest.",
    ),
    (
        r"would be overwritten by checkout",
        "local_changes",
        "An untracked file on the instance is in the way of the new version; nothing was touched.",
        "Move the file away, then start again.",
    ),
    (
        r"returned error: 429|rate limit",
        "rate_limited",
        "The git server limits the rate.",
        "Wait a few minutes, then start again.",
    ),
    (
        (
            r"Could not resolve host|(Failed|Couldn't) (to )?connect|Connection refused|Network is unreachable|"
            r"Connection timed out"
        ),
        "host_not_reached",
        "The git server could not be reached from the instance.",
        _NETWORK,
    ),
    (r"Operation too slow|Operation timed out", "stalled", "The download stalled.", _NETWORK),
    (
        (
            r"early EOF|RPC failed|unexpected disconnect|fetch-pack: invalid|index-pack failed|Recv failure|"
            r"returned error: 5\d\d|hung up unexpectedly|transfer closed"
        ),
        "transfer_cut",
        "The download was cut off.",
        _NETWORK,
    ),
)
TRANSIENT = frozenset({"host_not_reached", "stalled", "transfer_cut"})

PACKAGES: Sequence[Signature] = (
    (r"No space left on device|Disk quota exceeded|os error 28", "disk_full", "The instance's disk is full.", _DISK),
    (
        r"not found in the package registry|No matching distribution found|there (are no versions|is no version) of",
        "requirement_not_found",
        "A required package, or the version asked for, does not exist.",
        "Tell the pack's author; the pack needs another requirement.",
    ),
    (
        r"has no wheels with a matching|no wheels are available for|has no source distribution",
        "no_wheel",
        "A required package has no build for this Python or this system.",
        "Tell the pack's author; another Python version may have one.",
    ),
    (
        r"No solution found|ResolutionImpossible|conflicting dependencies",
        "requirement_conflict",
        "What the pack requires does not go with what is installed.",
        "Look at the pack's log for the two parties.",
    ),
    (
        (
            r"Failed to build|build backend returned an error|error: subprocess-exited-with-error|"
            r"metadata-generation-failed|Building wheel for .* error"
        ),
        "build_failed",
        "A required package has no wheel for this Python and could not be built.",
        "Look at the pack's log; a compiler or a system library may be missing.",
    ),
    (
        r"Git operation failed|failed to (clone|fetch) into",
        "requirement_source_unavailable",
        "A repository that a requirement names could not be fetched.",
        _NOT_FOUND,
    ),
    (
        r"Failed to fetch|error sending request|dns error|Connection reset|tcp connect error|timed out",
        "registry_not_reached",
        "The package registry could not be reached from the instance.",
        _NETWORK,
    ),
    (
        (
            r"Couldn't parse requirement|Expected (package name|one of)|Invalid requirement|Unexpected '|"
            r"wheel filename .* invalid"
        ),
        "bad_requirement",
        "The pack's requirements file has a line that cannot be read.",
        "Tell the pack's author.",
    ),
    (
        r": No module named pip\b",
        "no_installer",
        "Neither uv nor pip can be had for this Python.",
        "Install uv on the instance: pip install uv, or its own installer.",
    ),
)


OS_ERRORS: Mapping[int, Tuple[str, str, str]] = {
    errno.ENOSPC: ("disk_full", "The instance's disk is full.", _DISK),
    errno.EDQUOT: ("disk_full", "The disk quota on the instance is used up.", _DISK),
    errno.EROFS: ("read_only", "The folder cannot be written: it is on a read-only file system.", _DISK),
    errno.EACCES: ("not_permitted", "The user of the login may not do that.", "Check the owner and the rights."),
    errno.EPERM: ("not_permitted", "The user of the login may not do that.", "Check the owner and the rights."),
    errno.EAGAIN: ("too_many_processes", "The instance lets no more processes start.", "End some, then start again."),
    errno.ENOMEM: ("out_of_memory", "The instance is out of memory.", "Free some, then start again."),
}


def of_os(exc: OSError) -> Problem:
    """Why a call to the system failed."""
    usual = ("system_error", "A system call failed on the instance.", "Look at run.log of the task.")
    code, message, hint = OS_ERRORS.get(exc.errno or 0, usual)
    said = exc.strerror or str(exc)
    return Problem(code, "%s (%s%s)" % (message.rstrip("."), said, ": %s" % exc.filename if exc.filename else ""), hint)


def of_git(finished: Finished) -> Problem:
    """Why a git command failed."""
    if finished.stopped:
        return _stopped(finished)
    for pattern, code, text, hint in GIT:
        found = re.search(pattern, finished.output)
        if found:
            return Problem(code, "%s (%s)" % (text.rstrip("."), _line_of(finished.output, found.start())), hint)
    return Problem("git_failed", "git failed (%s)" % _last_words(finished), "Look at the pack's log.")


def of_packages(finished: Finished) -> Problem:
    """Why uv or pip failed, with its own explanation."""
    if finished.stopped:
        return _stopped(finished)
    said = explain(finished.output) or _last_words(finished)
    for pattern, code, text, hint in PACKAGES:
        if re.search(pattern, finished.output):
            return Problem(code, "%s %s" % (text, said), hint)
    return Problem("requirements_failed", "The requirements could not be installed. %s" % said, "Look at the log.")


def _stopped(finished: Finished) -> Problem:
    return Problem("stalled", "Nothing moved for too long (%s limit); it was stopped." % finished.stopped, _NETWORK)


def _last_words(finished: Finished) -> str:
    return shortened(finished.last_lines()) or "status %d" % finished.code


def _line_of(output: str, at: int) -> str:
    """The line of `output` at that place: the program's own words."""
    start = max(output.rfind("\n", 0, at), output.rfind("\r", 0, at)) + 1
    end = re.compile(r"[\r\n]").search(output, at)
    return shortened(output[start : end.start() if end else None])
