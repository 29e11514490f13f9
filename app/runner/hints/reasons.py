"""Turns a failure into a reason code, a sentence and a hint.

The output of git, uv, pip, scripts and imports is looked up in `app.runner.hints.signatures`. A failure that no entry
matches gets a general code (`git_failed`, `import_failed`, …) and the program's last lines.
"""

from __future__ import annotations

import errno
import re
from dataclasses import replace
from pathlib import Path
from typing import Mapping, Optional, Tuple

from app.protocol.deciding_line import deciding_line, only_tells_of_another, says_why
from app.protocol.redaction import masked
from app.protocol.snapshot import Problem
from app.runner.hints import addresses, signatures
from app.runner.hints.load_reasons import of_load
from app.runner.hints.signature import BUSY, DISK, MEMORY, NETWORK, PERMISSION, PROCESSES, READ_ONLY
from app.runner.hints.uv_words import explain, shortened
from app.runner.process.children import Finished
from app.runner.process.refused import Refused

_LOG = "Look at the pack's log."
_RUN_IT = "Run it yourself in the pack's folder on the instance."
_OF_FETCHING = frozenset(
    {"host_not_reached", "certificate_not_trusted", "rate_limited", "proxy_login", "registry_timed_out"}
    | {"registry_not_reached", "folder_missing"}
)
_KILLED = frozenset({-9, 137})
_EXCEPTION = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|SystemExit|Warning)\b.*$", re.MULTILINE)
_CAUSED = "direct cause of the following exception"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_NOT_PERMITTED = Problem("not_permitted", "The user of the SSH login may not do that.", PERMISSION)
OS_ERRORS: Mapping[int, Problem] = {
    errno.ENOSPC: Problem("disk_full", "The instance's disk is full.", DISK),
    errno.EDQUOT: Problem("disk_quota", "The disk quota on the instance is used up.", DISK),
    errno.EROFS: Problem("read_only", "The folder is on a disk that can only be read.", READ_ONLY),
    errno.EACCES: _NOT_PERMITTED,
    errno.EPERM: _NOT_PERMITTED,
    errno.EBUSY: Problem("folder_busy", "The folder is in use.", BUSY),
    errno.EAGAIN: Problem("too_many_processes", "The instance allows no more processes.", PROCESSES),
    errno.ENOMEM: Problem("out_of_memory", "The instance is out of memory.", MEMORY),
}


def of_os(exc: OSError) -> Problem:
    """Why a system call failed."""
    usual = Problem("system_error", "The instance's system reported an error.", "Look at the log of the task.")
    known = OS_ERRORS.get(exc.errno or 0, usual)
    said = exc.strerror or str(exc)
    where = ": %s" % exc.filename if exc.filename else ""
    return replace(known, message="%s (%s%s)" % (known.message.rstrip("."), said, where))


def of_git(finished: Finished) -> Problem:
    """Why a git command failed."""
    if isinstance(finished, Refused) and finished.problem is not None:
        return finished.problem
    if finished.stopped:
        return _stopped(finished)
    known = signatures.find(_said(finished), "g")
    if known:
        problem, at = known
        start = max(_said(finished).rfind("\n", 0, at), _said(finished).rfind("\r", 0, at)) + 1
        line = re.split(r"[\r\n]", _said(finished)[start:], maxsplit=1)[0]  # git's own words
        return replace(problem, message="%s (%s)" % (problem.message.rstrip("."), shortened(line)))
    return Problem("git_failed", "git failed (%s)" % _last_words(finished), _LOG)


def of_packages(finished: Finished) -> Problem:
    """Why uv or pip failed, with the explanation that it printed."""
    if finished.stopped:
        return _stopped(finished)
    said = explain(_said(finished)) or _last_words(finished)
    known = signatures.find(_said(finished), "p")
    if known:
        return replace(known[0], message="%s %s" % (known[0].message, said))
    if finished.code in _KILLED:
        return _killed("The installer")
    return Problem("requirements_failed", "The pack's Python packages could not be installed. %s" % said, _LOG)


def of_script(finished: Finished, script: Optional[Path] = None) -> Problem:
    """Why a pack's install.py failed. `script`: that file, whose addresses tell what is missing."""
    said = _said(finished)
    words = shortened(deciding_line(said)) or "it printed nothing"
    beyond = of_load(finished.stopped, "install.py")
    if beyond:
        return beyond
    if finished.stopped == "idle":
        text = "install.py printed nothing for too long and was stopped (idle limit). (%s)" % words
        return Problem("script_stalled", text, "It may wait for an answer. %s" % _RUN_IT)
    if finished.stopped:
        text = "install.py ran for too long and was stopped (%s limit). (%s)" % (finished.stopped, words)
        return Problem("script_timed_out", text, "It may download a lot, or slowly. Start again, or: %s" % _RUN_IT)
    known = _of_exception(said, "s") or signatures.find(deciding_line(said), "s") or signatures.find(said, "s")
    wanted = addresses.in_output(said) or (addresses.in_code(script) if script else [])
    missing = addresses.in_words(wanted) if known is None or known[0].code in _OF_FETCHING else ""
    if known:
        text = "install.py failed: %s (%s)%s" % (known[0].message.rstrip("."), words, missing)
        return replace(known[0], message=text)
    if finished.code in _KILLED:
        return _killed("install.py")
    text = "install.py failed with exit status %d. (%s)%s" % (finished.code, words, missing)
    return Problem("script_failed", text, _LOG)


def of_import(text: str) -> Problem:
    """Why ComfyUI could not import a pack. `text`: what ComfyUI printed about it, with the traceback."""
    text = re.sub(_COLOUR, "", text)
    raised = _EXCEPTION.findall(text)
    last = raised[-1] if raised else ""
    known = _of_exception(text, "i")
    if not last or only_tells_of_another(last):  # a program that it called says why
        known = known or signatures.find(deciding_line(text), "i") or (signatures.find(text, "i") if last else None)
        last = deciding_line(text)
    words = shortened(last) or "it printed nothing"
    if known:
        fetching = known[0].code in _OF_FETCHING
        missing = addresses.in_words(addresses.in_output(text)) if fetching else ""
        return replace(known[0], message="%s (%s)%s" % (known[0].message.rstrip("."), words, missing))
    hint = "The pack's log has the whole traceback: report it to the pack's author."
    return Problem("import_failed", "ComfyUI cannot import the pack. (%s)" % words, hint)


def _of_exception(text: str, of: str) -> Optional[Tuple[Problem, int]]:
    """The signature of a traceback's last exception, or of the exception that caused it. Errors that the program only
    printed, or caught and survived, are not the reason."""
    raised = list(_EXCEPTION.finditer(text))
    if not raised:
        return signatures.find(text, of)
    known = signatures.find(text[raised[-1].start() :], of)
    if known or _CAUSED not in text:
        return known
    return next(filter(None, (signatures.find(match.group(0), of) for match in reversed(raised))), None)


def _killed(what: str) -> Problem:
    text = "%s was killed, most likely because the instance ran out of memory." % what
    return Problem("out_of_memory", text, MEMORY)


def _stopped(finished: Finished) -> Problem:
    text = "It made no progress for too long and was stopped (%s limit)." % finished.stopped
    return of_load(finished.stopped, "The installer") or Problem("stalled", text, NETWORK)


def _said(finished: Finished) -> str:
    """What it wrote, masked before anything of it is cut off: half a login is not known as one."""
    return masked(finished.output)


def _last_words(finished: Finished) -> str:
    line = deciding_line(_said(finished))
    return shortened(line if says_why(line) else finished.last_lines()) or "status %d" % finished.code
