"""Why things fail: signatures of real messages, the reason code of each, and what to do about it.

`app.runner.hints.signatures` is the table. What it does not know stays `…_failed` with the program's last lines.
"""

from __future__ import annotations

import errno
import re
from dataclasses import replace
from typing import Mapping, Optional, Tuple

from app.protocol.snapshot import Problem
from app.runner.hints import signatures
from app.runner.hints.signature import DISK, MEMORY, NETWORK, PROCESSES, READ_ONLY
from app.runner.hints.uv_words import explain, shortened
from app.runner.process.children import Finished

_KILLED = frozenset({-9, 137})
_EXCEPTION = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|SystemExit|Warning)\b.*$", re.MULTILINE)
_CAUSED = "direct cause of the following exception"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_NOT_PERMITTED = Problem(
    "not_permitted",
    "The user of the SSH login may not do that.",
    "Check who owns ComfyUI's folders on the instance (ls -l), or log in as root.",
)
OS_ERRORS: Mapping[int, Problem] = {
    errno.ENOSPC: Problem("disk_full", "The instance's disk is full.", DISK),
    errno.EDQUOT: Problem("disk_quota", "The disk quota on the instance is used up.", DISK),
    errno.EROFS: Problem("read_only", "The folder is on a disk that can only be read.", READ_ONLY),
    errno.EACCES: _NOT_PERMITTED,
    errno.EPERM: _NOT_PERMITTED,
    errno.EAGAIN: Problem("too_many_processes", "The instance allows no more processes.", PROCESSES),
    errno.ENOMEM: Problem("out_of_memory", "The instance is out of memory.", MEMORY),
}


def of_os(exc: OSError) -> Problem:
    """Why a call to the system failed."""
    usual = Problem("system_error", "A system call failed on the instance.", "Look at run.log of the task.")
    known = OS_ERRORS.get(exc.errno or 0, usual)
    said = exc.strerror or str(exc)
    where = ": %s" % exc.filename if exc.filename else ""
    return replace(known, message="%s (%s%s)" % (known.message.rstrip("."), said, where))


def of_git(finished: Finished) -> Problem:
    """Why a git command failed."""
    if finished.stopped:
        return _stopped(finished)
    known = signatures.find(finished.output, "g")
    if known:
        problem, at = known
        return replace(problem, message="%s (%s)" % (problem.message.rstrip("."), _line_of(finished.output, at)))
    return Problem("git_failed", "git failed (%s)" % _last_words(finished), "Look at the pack's log.")


def of_packages(finished: Finished) -> Problem:
    """Why uv or pip failed, with its own explanation."""
    if finished.stopped:
        return _stopped(finished)
    said = explain(finished.output) or _last_words(finished)
    known = signatures.find(finished.output, "p")
    if known:
        return replace(known[0], message="%s %s" % (known[0].message, said))
    if finished.code in _KILLED:
        return _killed("The installer")
    return Problem("requirements_failed", "The requirements could not be installed. %s" % said, "Look at the log.")


def of_script(finished: Finished) -> Problem:
    """Why a pack's install.py failed."""
    last = finished.last_lines(1)
    if finished.stopped:
        return _script_stopped(finished.stopped, shortened(last) or "it said nothing")
    known = _of_exception(finished.output, "s") or signatures.find(finished.output, "s")
    if known:
        return replace(known[0], message="install.py failed: %s (%s)" % (known[0].message.rstrip("."), shortened(last)))
    if finished.code in _KILLED:
        return _killed("install.py")
    text = "install.py ended with status %d. (%s)" % (finished.code, last)
    return Problem("script_failed", text, "Look at the pack's log.")


def _script_stopped(limit: str, last: str) -> Problem:
    if limit == "idle":
        text = "install.py printed nothing for too long and was stopped (idle limit). (%s)" % last
        return Problem("script_stalled", text, "It may wait for an answer, which nobody can give; run it by hand.")
    text = "install.py went on printing and did not end in time; it was stopped (total limit). (%s)" % last
    return Problem("script_timed_out", text, "It may download much, or slowly; run it by hand, or start again.")


def of_import(text: str) -> Problem:
    """Why ComfyUI could not import a pack: `text` is what it printed of that, the traceback among it."""
    text = re.sub(_COLOUR, "", text)
    raised = _EXCEPTION.findall(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = shortened(raised[-1] if raised else lines[-1] if lines else "it said nothing")
    known = _of_exception(text, "i")
    if known:
        return replace(known[0], message="%s (%s)" % (known[0].message.rstrip("."), last))
    hint = "Look at the pack's log for the whole traceback, and tell the pack's author."
    return Problem("import_failed", "ComfyUI cannot import the pack. (%s)" % last, hint)


def _of_exception(text: str, of: str) -> Optional[Tuple[Problem, int]]:
    """What the last exception of a traceback says; where another one caused it, what that one says. What was only
    printed, or caught and overcome, is no reason."""
    raised = list(_EXCEPTION.finditer(text))
    if not raised:
        return signatures.find(text, of)
    known = signatures.find(text[raised[-1].start() :], of)
    if known or _CAUSED not in text:
        return known
    return next(filter(None, (signatures.find(match.group(0), of) for match in reversed(raised))), None)


def _killed(what: str) -> Problem:
    text = "%s was killed, most likely since the instance ran out of memory." % what
    return Problem("out_of_memory", text, "Stop what else runs there, or take an instance with more memory.")


def _stopped(finished: Finished) -> Problem:
    return Problem("stalled", "Nothing moved for too long (%s limit); it was stopped." % finished.stopped, NETWORK)


def _last_words(finished: Finished) -> str:
    return shortened(finished.last_lines()) or "status %d" % finished.code


def _line_of(output: str, at: int) -> str:
    """The line of `output` at that place: the program's own words."""
    start = max(output.rfind("\n", 0, at), output.rfind("\r", 0, at)) + 1
    end = re.compile(r"[\r\n]").search(output, at)
    return shortened(output[start : end.start() if end else None])
