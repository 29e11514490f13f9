"""One install's events, folded and kept: the only place where an install's snapshot changes.

Events are folded as they come and saved in batches, ten times a second at most, and at once when the state changes.
Polls see what was kept, so that a killed service's successor knows all that anybody has seen. The journal's offset is
committed together with the snapshot that holds what was before it, and a restarted service goes on there.
`GroupSaver` brings what is new of all installs to the disk together.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from app.domain.record import InstallRecord
from app.domain.retry import RetryLinks
from app.domain.run_summary import purpose_of
from app.domain.stored_request import read_options
from app.protocol import budgets, counts, progress_json
from app.protocol.event_body import Body
from app.protocol.events import Event, GivenUp, Source
from app.protocol.json_fields import ProtocolFault
from app.protocol.reducer import reduce
from app.protocol.seal import Seal
from app.protocol.snapshot import Problem, Snapshot, from_stored
from app.protocol.states import TERMINAL_TASK_STATES, TaskState
from app.storage.errors import LeaseLost, StorageError
from app.sync.installs.group_saver import REFUSED_SECONDS, GroupSaver, Save
from app.sync.installs.progress_cache import InstallStatus, ProgressCache
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.snapshot_text import SnapshotText

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """An install's end that is to be put on disk together with others: its `values`, written while its lease has this
    token."""

    task_id: str
    token: int
    snapshot: Snapshot
    values: Mapping[str, Any]


class Recorder:
    """Folds the events of one install. One thread at a time: whoever starts the install, then the install's own.

    Methods that save raise LeaseLost when another service has taken the install over. From then on it is theirs."""

    def __init__(
        self,
        record: InstallRecord,
        progress_cache: ProgressCache,
        saver: GroupSaver,
        progress_writer: ProgressWriter,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Goes on from `record`. Raises ValueError when its snapshot cannot be read."""
        self.task_id = record.task_id
        self._progress_cache = progress_cache
        self._saver = saver
        self._progress_writer = progress_writer
        self._now = now
        self._started_at = record.started_at
        self._offset = record.journal_offset
        self._token = record.lease_token
        self._secret = record.seal
        self._seal = Seal.of(record.seal)
        self._text = SnapshotText()
        self._lost = False
        self._failed: Exception | None = None
        """A bug that the saver's thread has met with what was put."""
        self._unsaved_since: float | None = None
        self.when_saved: Callable[[float], None] = lambda _seconds: None
        """Called with the age of the oldest event that was just saved. Any thread."""
        self._refused = False
        """The disk refuses to save. Polls then see what happens at once, since there is nothing to wait for."""
        self._newest = status_of(record, _read_snapshot(record))
        """After the events so far. The progress cache has what was saved of it."""
        self._saved = self._newest.snapshot
        self._showing = threading.Lock()
        self._is_shown = -1
        """The revision that polls see."""
        progress_cache.put(self._newest)

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot after the events so far."""
        return self._newest.snapshot

    @property
    def offset(self) -> int:
        """The byte of the journal behind the last event that was folded."""
        return self._offset

    @property
    def seal(self) -> Seal | None:
        """The run's, where it has one."""
        return self._seal

    @property
    def start_fields(self) -> Mapping[str, str]:
        """What `start` gets besides the request."""
        return {"seal": self._secret} if self._secret else {}

    def without_seal(self) -> None:
        """The runner that was just started seals nothing."""
        self._secret = self._seal = None

    @property
    def ended(self) -> bool:
        """Whether the install is in a terminal state."""
        return self._newest.ended

    @property
    def lost(self) -> bool:
        """Whether another service has taken the install over."""
        return self._lost

    @property
    def token(self) -> int:
        """Of the lease that what happens is kept with."""
        return self._token

    def hold(self, token: int) -> None:
        """What is kept from now on is kept with the lease that has this token."""
        self._token = token
        self._progress_cache.hold(self.task_id)

    def lose(self) -> None:
        """Another service has taken the install over: this one saves and shows nothing of it any more. Any thread."""
        if not self._lost:
            self._lost = True
            _log.warning("task %s: its lease is lost, another service works on it now; letting go of it", self.task_id)
        self._progress_cache.drop(self.task_id)
        self._progress_writer.drop(self.task_id)

    def emit(self, body: Body, *, soon: bool = False) -> None:
        """Folds an event of the service itself and saves at once, or `soon`, without waiting. Does nothing after the
        install's end."""
        if self.ended:
            return
        event = Event(body, self.snapshot.service_seq + 1, self._now(), time.monotonic(), Source.SERVICE)
        try:
            self._fold(event)
        except ProtocolFault as exc:
            if not isinstance(body, GivenUp):
                raise
            self._end_without_packs(body, exc)
        if soon:
            self._saver.put(self._unsaved())
        else:
            self.save()

    def ending(self, body: GivenUp) -> Ending:
        """How the install would be kept after this end, which is not folded yet."""
        event = Event(body, self.snapshot.service_seq + 1, self._now(), time.monotonic(), Source.SERVICE)
        ended = reduce(self.snapshot, event, self._now())
        values = {**self._values(ended, self._offset, self._started_at, None), "auto_retry_open": False}
        return Ending(self.task_id, self._token, ended, values)

    def end_with(self, ending: Ending) -> None:
        """This end is on disk now."""
        links = replace(self._newest.retry_links, is_open=False)
        self._newest = replace(self._newest, snapshot=ending.snapshot, retry_links=links)
        self._saved = ending.snapshot
        self._progress_writer.put(self._newest, is_awaited=False)
        self._show(self._newest)

    def apply(self, event: Event, offset: int) -> None:
        """An event of the journal, which ends before byte `offset`. Raises ProtocolFault if it cannot be the next: a
        follower is asked for what comes behind `offset`, so that nothing honest comes twice."""
        if event.seq != self.snapshot.journal_seq + 1:
            raise ProtocolFault(f"journal event {event.seq} follows {self.snapshot.journal_seq}")
        if not self._offset < offset <= budgets.MAX_JOURNAL_BYTES:
            raise ProtocolFault(f"the journal's byte {offset} follows {self._offset}")
        before = self.snapshot.state
        self._fold(event, heard_at=self._now())
        self._offset = offset
        if self.snapshot.state is not before:
            self.save()
        else:
            self._saver.put(self._unsaved())

    def heartbeat(self) -> None:
        """The runner was heard and has nothing new."""
        self._newest = replace(self._newest, heard_at=self._now())
        self._progress_cache.heartbeat(self.task_id, self._now())

    def save(self) -> None:
        """Saves and shows what is new. What the disk refuses is logged, shown all the same, and tried again: a full
        disk here must not hide how the install there does."""
        if self._lost:
            self.lose()
            raise LeaseLost
        save, status = self._unsaved(), self._newest
        self._saver.save(save)
        if isinstance(save.error, LeaseLost):
            self.lose()
        if save.error is not None and not isinstance(save.error, StorageError):
            raise save.error
        self._note(save, status)
        self._progress_writer.put(status)
        self._show(status)

    def save_end(self, closing: threading.Event, seconds: float) -> None:
        """Waits until an end that the disk has refused is saved, for `seconds` at most, and tries that; `closing` ends
        the wait. The next service would resume an unsaved one, and show it as running after it was shown as ended."""
        deadline = time.monotonic() + seconds
        while self.ended and self._saved is not self.snapshot and time.monotonic() < deadline:
            if closing.wait(REFUSED_SECONDS):
                return
            self.save()

    def _unsaved(self) -> Save:
        """What there is to be saved of now."""
        status = self._newest
        secret = None if status.ended else self._secret
        made = partial(self._values, status.snapshot, self._offset, self._started_at, secret)
        return Save(self.task_id, self._token, made, partial(self._over, status))

    def _over(self, status: InstallStatus, save: Save) -> None:
        """The saver has done with what it was given. Any thread."""
        if isinstance(save.error, LeaseLost):
            self.lose()
        elif save.error is not None and not isinstance(save.error, StorageError):
            self._failed = save.error
        elif not self._lost:
            self._note(save, status)
            if not status.ended:  # whoever has emitted the end has seen to its file
                self._progress_writer.put(status)
            self._show(self._newest if self._refused else status)

    def _note(self, save: Save, status: InstallStatus) -> None:
        self._refused = save.error is not None
        if save.error is None:
            self._saved = status.snapshot
            since, self._unsaved_since = self._unsaved_since, None
            if since is not None:
                self.when_saved(time.monotonic() - since)
        elif not isinstance(save.error, StorageError):
            raise save.error
        else:
            _log.error("task %s: the progress could not be saved: %s", self.task_id, save.error)

    def _show(self, status: InstallStatus) -> None:
        """Shows it to polls, unless they see something newer already."""
        with self._showing:
            if self._lost or status.snapshot.revision < self._is_shown:
                return
            self._is_shown = status.snapshot.revision
            self._progress_cache.put(replace(status, heard_at=self._newest.heard_at))

    def _fold(self, event: Event, heard_at: float | None = None) -> None:
        if self._failed is not None:
            raise self._failed
        snapshot = reduce(self.snapshot, event, self._now())
        if snapshot.state in TERMINAL_TASK_STATES and not self.ended:
            seconds = (snapshot.finished_at or self._now()) - snapshot.created_at
            why = f" ({snapshot.error.code})" if snapshot.error else ""
            words = counts.count(snapshot).in_words()
            _log.info("task %s: %s%s after %.0f s: %s", self.task_id, snapshot.state.value, why, seconds, words)
        if self._started_at is None and snapshot.state is not TaskState.QUEUED:
            self._started_at = self._now()
        self._newest = replace(self._newest, snapshot=snapshot, heard_at=heard_at or self._newest.heard_at)
        self._unsaved_since = self._unsaved_since or time.monotonic()
        if self._refused:
            self._show(self._newest)

    def _end_without_packs(self, body: GivenUp, exc: ProtocolFault) -> None:
        """The end of a task whose snapshot no event fits any more: every task ends."""
        _log.error("task %s: its packs are not shown any more: %s", self.task_id, exc)
        before = self.snapshot
        bare = first_snapshot(self.task_id, before.created_at, {})
        ended = replace(bare, state=body.state, error=body.error, finished_at=self._now())
        ended = replace(ended, revision=before.revision + 1, journal_seq=before.journal_seq)
        self._newest = replace(self._newest, snapshot=ended)

    def _values(
        self, snapshot: Snapshot, offset: int, started_at: float | None, secret: str | None
    ) -> Mapping[str, Any]:
        numbers = counts.count(snapshot)
        return {
            "state": snapshot.state,
            "outcome": counts.outcome(snapshot),
            "started_at": started_at,
            "finished_at": snapshot.finished_at,
            "total": numbers.total,
            "successful": numbers.successful,
            "failed": numbers.failed,
            "skipped": numbers.skipped,
            "error": snapshot.error.to_json() if snapshot.error else None,
            "revision": snapshot.revision,
            "journal_offset": offset,
            "journal_seq": snapshot.journal_seq,
            "snapshot": self._text.of(snapshot),
            "seal": secret,
        }


def status_of(record: InstallRecord, snapshot: Snapshot) -> InstallStatus:
    """What is known of the install of a record, with this snapshot."""
    return InstallStatus(
        snapshot,
        read_options(record.request).require,
        retry_links=RetryLinks.of(record),
        purpose=purpose_of(record.request),
    )


def snapshot_of(record: InstallRecord) -> Snapshot:
    """The snapshot that a record holds. Where that cannot be read, it is made of the record's columns: the state, the
    error and the revision are right, and there are no packs."""
    try:
        return _read_snapshot(record)
    except ValueError as exc:
        _log.error("task %s: its snapshot cannot be read: %s", record.task_id, exc)
    return replace(
        first_snapshot(record.task_id, record.created_at, {}),
        state=record.state,
        revision=record.revision,
        error=Problem.of(record.error),
        finished_at=record.finished_at,
    )


def _read_snapshot(record: InstallRecord) -> Snapshot:
    """Raises ValueError, also where there is no snapshot although the journal has been read."""
    if record.snapshot is not None:
        return from_stored(record.snapshot)
    if record.journal_offset or record.state in TERMINAL_TASK_STATES:
        raise ValueError("there is none")
    first = first_snapshot(record.task_id, record.created_at, record.request.get("manifest"))
    return replace(first, revision=record.revision)


def first_snapshot(task_id: str, created_at: float, manifest: Mapping[str, Any] | None) -> Snapshot:
    """The snapshot of an install that was just accepted."""
    return progress_json.initial(task_id, created_at, auto_installer=manifest is None or "repo" in manifest)
