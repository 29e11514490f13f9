"""Downloads a pack's archive: with its progress, on from where a line was cut, and no further than it may be large."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Optional

from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.hints import reasons
from app.runner.machine.git_progress import Received
from app.runner.packs.checkout import Throttled
from app.runner.packs.registry_versions import Archive
from app.runner.packs.web_reader import Answer, WebReader
from app.runner.process.errors import RunCancelled
from app.runner.process.limits import RunLimits

MOST_BYTES = 2 * 1024**3
_LONGEST_WAIT = 60.0
_SOON_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_ZIP = b"PK"
_AGAIN = "Start again later."
_LEAST_A_SECOND = 1000
"""Bytes, as git has it: what comes slower for long is as good as nothing."""


class _Stopped(Exception):
    """It cannot be had: why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class _Pace:
    """Whether a download comes fast enough. `got`: its bytes so far."""

    def __init__(self, limits: RunLimits) -> None:
        self.got = 0
        self._low, self._total = limits.low_speed, limits.git.total
        self._began = self._since = time.monotonic()
        self._had = 0

    def check(self) -> None:
        """Raises TimeoutError."""
        now = time.monotonic()
        if now - self._began > self._total:
            raise TimeoutError("it was not whole after %d seconds" % self._total)
        if now - self._since < self._low:
            return
        if self.got - self._had < _LEAST_A_SECOND * self._low:
            raise TimeoutError("less than %d bytes a second came" % _LEAST_A_SECOND)
        self._since, self._had = now, self.got


class Download:
    """One archive on its way to `file`."""

    def __init__(self, context: Context, name: str, archive: Archive, file: Path) -> None:
        self._context, self._name, self._archive, self._file = context, name, archive, file
        self._emit = Throttled(context, name)
        self._tag = ""
        self._wait, self._pace = 0.0, _Pace(context.limits)
        self.sha256 = ""

    def run(self) -> Optional[Problem]:
        """Brings the file; why it could not be had. `sha256` is set afterwards. Raises OSError of the disk,
        RunCancelled."""
        self._file.unlink(missing_ok=True)
        problem: Optional[Problem] = None
        for seconds in self._context.limits.retry_delays:
            self._context.pause(max(seconds, self._wait))
            try:
                problem = self._attempt()
            except _Stopped as stopped:
                return stopped.problem
            if problem is None:
                return self._checked()
            if self._wait > _LONGEST_WAIT:
                break
        return problem

    def _attempt(self) -> Optional[Problem]:
        """One try, on from what is there; None when it is whole."""
        had = self._file.stat().st_size if self._file.exists() and self._tag else 0
        wanted = {"Range": "bytes=%d-" % had, "If-Range": self._tag} if had else {}
        self._wait, self._pace = 0.0, _Pace(self._context.limits)
        try:
            reader = WebReader(self._archive.url, self._check, self._context.limits.git.idle, wanted)
            with reader as answer:
                if answer.status in _SOON_AGAIN:
                    self._wait = answer.wait_seconds
                    return self._busy(answer.status)
                self._check_status(answer.status)
                return self._save(answer, had)
        except (RunCancelled, _Stopped):
            raise
        except TimeoutError as exc:
            return Problem("stalled", "The download of %s stopped: %s." % (self._what, exc), _AGAIN)
        except OSError as exc:
            if exc.errno and reasons.of_os(exc).code in ("disk_full", "disk_quota", "read_only", "not_permitted"):
                raise
            return Problem("transfer_cut", "The download of %s broke off: %.200s." % (self._what, exc), _AGAIN)

    def _save(self, answer: Answer, had: int) -> Optional[Problem]:
        goes_on = answer.status == 206 and answer.headers.get("content-range", "").startswith("bytes %d-" % had)
        if answer.status == 206 and not goes_on:
            self._tag = ""
            return Problem("transfer_cut", "The server of %s does not go on where it was cut." % self._what, _AGAIN)
        begin = had if goes_on else 0
        tag = answer.headers.get("etag", "")
        self._tag = "" if tag.startswith("W/") else tag
        total = None if answer.length is None else begin + answer.length
        if total is not None:
            self._check_size(total)
        got, started = begin, time.monotonic()
        with self._file.open("ab" if goes_on else "wb") as file:
            for piece in answer.pieces:
                file.write(piece)
                got += len(piece)
                self._pace.got += len(piece)
                self._check_size(got)
                seconds = time.monotonic() - started
                rate = (got - begin) / seconds if seconds > 0.5 else None
                self._emit(Received(got * 100 // total if total else 0, got, rate))
        if total is not None and got < total:
            text = "The download of %s was cut after %d of %d bytes." % (self._what, got, total)
            return Problem("transfer_cut", text, _AGAIN)
        return None

    def _check(self) -> None:
        self._context.check_cancelled()
        self._pace.check()

    def _check_size(self, size: int) -> None:
        limit = self._context.limits.repository_bytes
        most = min(MOST_BYTES, limit) if limit else MOST_BYTES
        if size > most:
            text = "The archive of %s has more than %d MB." % (self._what, most // 1_000_000)
            raise _Stopped(Problem("archive_too_large", text, "Give the address of its repository instead."))

    def _check_status(self, status: int) -> None:
        if status in (200, 206):
            return
        if status in (404, 410):
            text = "The registry names an archive of %s that is not there (HTTP %d)."
            hint = "Ask for another version."
            raise _Stopped(Problem("registry_version_not_found", text % (self._what, status), hint))
        text = "The archive of %s is not given (HTTP %d)." % (self._what, status)
        raise _Stopped(Problem("archive_failed", text, _AGAIN))

    def _busy(self, status: int) -> Problem:
        if status == 429:
            text = "The server of %s has had too many requests."
            return Problem("rate_limited", text % self._what, "Start again in some minutes.")
        return Problem("archive_failed", "The server of %s fails (HTTP %d)." % (self._what, status), _AGAIN)

    def _checked(self) -> Optional[Problem]:
        sha256 = hashlib.sha256()
        with self._file.open("rb") as file:
            if file.read(2) != _ZIP:
                text = "What the server gives for %s is no archive. A proxy or a login page may be in between."
                return Problem("archive_failed", text % self._what, _AGAIN)
            file.seek(0)
            for piece in iter(lambda: file.read(1024 * 1024), b""):
                self._context.check_cancelled()
                sha256.update(piece)
        self.sha256 = sha256.hexdigest()
        if self._archive.sha256 and self._archive.sha256 != self.sha256:
            text = "The archive of %s is another one than was asked for: its SHA-256 is %s…, not %s…."
            values = (self._what, self.sha256[:12], self._archive.sha256[:12])
            hint = "Do not install it before its author has said why. Nothing of it was unpacked."
            return Problem("archive_hash_differs", text % values, hint)
        return None

    @property
    def _what(self) -> str:
        return "%s %s" % (self._name, self._archive.version)
