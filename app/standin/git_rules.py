"""How the repositories of the git server behave, and what was asked of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

_STALL_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class RepoRule:
    """How one repository is served. Sizes are bytes of the answer that carries the pack."""

    status: int | None = None
    """Answer everything with this HTTP status: 404, 401 (with a login challenge, as GitHub does), 429, 503…"""
    latency_seconds: float = 0.0
    """Wait before each answer, besides the server's own latency."""
    bytes_per_second: float | None = None
    stall_after_bytes: int | None = None
    """Send so many, then nothing more, the connection open."""
    cut_after_bytes: int | None = None
    """Send so many, then close the connection."""
    hold_after_bytes: int = 0
    released: threading.Event | None = None
    """Send `hold_after_bytes`, and the rest only once this is set."""
    times: int | None = None
    """How many packs stall or are cut before it goes well; None: all."""
    moved_to: str | None = None
    """Answer everything with a 301 to the same path of this repository: `owner/name` here, or a whole address, as
    GitHub does once a repository was renamed."""


SERVED = RepoRule()
MISSING = RepoRule(status=404)
PRIVATE = RepoRule(status=401)


@dataclass(frozen=True, slots=True)
class GitRequest:
    """One answered request. `repo` is `owner/name`; `sent` bytes of its body."""

    method: str
    repo: str
    service: str
    """The path below the repository: `info/refs` or `git-upload-pack`."""
    status: int
    sent: int
    protocol: str
    """The client's Git-Protocol header, `version=2` nowadays."""
    is_pack: bool = False
    """Whether a pack was asked for (and not a list of refs)."""
    with_login: bool = False
    """Whether the client sent a user's name and password, or a token."""


class CutHere(Exception):
    """The rule closes the connection at this byte."""


def paced(body: Iterator[bytes], rule: RepoRule, stopping: threading.Event) -> Iterator[bytes]:
    """The body at the rule's rate, up to its stall or cut. Raises CutHere; ends a stall when `stopping` is set."""
    limit = rule.stall_after_bytes if rule.stall_after_bytes is not None else rule.cut_after_bytes
    sent, started = 0, time.monotonic()
    for piece in _pieces(body, rule.bytes_per_second):
        if limit is not None and sent + len(piece) >= limit:
            yield piece[: limit - sent]
            if rule.stall_after_bytes is not None:
                stopping.wait(_STALL_SECONDS)
            raise CutHere
        yield piece
        sent += len(piece)
        while rule.released and sent >= rule.hold_after_bytes and not stopping.is_set():
            if rule.released.wait(0.05):
                break
        if rule.bytes_per_second is not None:
            stopping.wait(max(0.0, sent / rule.bytes_per_second - (time.monotonic() - started)))


def _pieces(body: Iterator[bytes], rate: float | None) -> Iterator[bytes]:
    """The body in pieces of a tenth of a second."""
    if rate is None:
        yield from body
        return
    size = max(256, int(rate / 10))
    for chunk in body:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]


class Ledger:
    """The rules in force and the requests so far. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: dict[str, RepoRule] = {}
        self._requests: list[GitRequest] = []
        self._sending = 0
        self._peak = 0

    def set_rule(self, repo: str, rule: RepoRule) -> None:
        """How `owner/name` is served from now on."""
        with self._lock:
            self._rules[repo] = rule

    def rule_of(self, repo: str, *, is_pack: bool) -> RepoRule:
        """The rule for one request; one for a pack uses up one of the rule's `times`."""
        with self._lock:
            rule = self._rules.get(repo, SERVED)
            if not is_pack or not rule.times:
                spent = not is_pack or rule.times == 0
                return replace(rule, stall_after_bytes=None, cut_after_bytes=None) if spent else rule
            self._rules[repo] = replace(rule, times=rule.times - 1)
            return rule

    @contextmanager
    def sending_pack(self) -> Iterator[None]:
        """A pack is being sent within this block."""
        with self._lock:
            self._sending += 1
            self._peak = max(self._peak, self._sending)
        try:
            yield
        finally:
            with self._lock:
                self._sending -= 1

    def record(self, request: GitRequest) -> None:
        """Note an answered request."""
        with self._lock:
            self._requests.append(request)

    def requests(self) -> list[GitRequest]:
        """What was answered, in the order of the ends."""
        with self._lock:
            return list(self._requests)

    @property
    def peak(self) -> int:
        """How many packs were sent at the same time, at most."""
        with self._lock:
            return self._peak
