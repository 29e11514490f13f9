"""Takes the journal's lines that the run has written, and no others: packs' own code can write into the file too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.errors import JournalChanged, RunnerProtocolError
from app.protocol.answers import Started
from app.protocol.events import Event, RunEnded, Warned, decode
from app.protocol.json_fields import ProtocolFault
from app.protocol.states import TaskState
from app.remote.follow import JournalLine
from app.remote.runner_client import RunnerClient
from app.sync.installs.recorder import Recorder

MOST_FOREIGN = 10_000
"""Lines that are not the run's, or stand behind such ones, in one connection."""
_CHANGED = "Something on the instance wrote into the record of this task. What it wrote was ignored."
_HINT = (
    "Packs have no reason to do that: look at the install.py of those that ran, and do not trust this machine any more."
)
_STOPPED = "The install was stopped on the instance, and not from here."
_STOPPED_HINT = "Somebody who is logged in there may have done it, or a pack's install.py."


class SealedJournal:
    """The journal of one install, as its thread reads it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._foreign = 0

    def begin_connection(self) -> None:
        """A new connection: its lines come from where the last one that was the run's ended."""
        self._foreign = min(self._foreign, 1)

    @property
    def has_foreign(self) -> bool:
        """Whether there were lines that are not the run's."""
        return self._foreign > 0

    def start(self, client: RunnerClient, request: Mapping[str, Any], *, first: bool) -> Started:
        """Starts the run, or finds the one that was started before. `first`: no start was sent before this one, so that
        its answer says whether the run has a seal. Raises as `RunnerClient.start`."""
        recorder = self._recorder
        run = client.start(recorder.task_id, {**request, **recorder.start_fields})
        if first and not run.sealed:
            recorder.without_seal()
        return run

    def apply(self, line: JournalLine) -> None:
        """Folds the next line; one that is not the run's, or came before, changes nothing. Raises RunnerProtocolError,
        JournalChanged, LeaseLost."""
        try:
            self._apply(line)
        except ProtocolFault as exc:
            message = f"The record of the install on the instance (its journal) cannot be understood: {exc}."
            raise RunnerProtocolError(message) from exc

    def _apply(self, line: JournalLine) -> None:
        seal, recorder, offset = self._recorder.seal, self._recorder, line.offset
        if seal is None:
            self._fold(decode(line.line), offset)
            return
        event = decode(line.line) if seal.has_line(line.line) else None
        expected = recorder.snapshot.journal_seq + 1
        if event is None or event.seq > expected:  # of a part that was changed, which the run puts back
            self._foreign += 1
            if self._foreign > MOST_FOREIGN:
                raise JournalChanged
            return
        if event.seq < expected:
            return  # the file was put back, and is sent anew
        self._fold(event, recorder.offset + len(line.line) + 1)

    def warn(self) -> None:
        """Warns of lines that were not the run's, unless the run has told it. Raises LeaseLost."""
        told = {warning.code for warning in self._recorder.snapshot.warnings}
        if self._foreign and JournalChanged.code not in told:
            self._recorder.emit(Warned(JournalChanged.code, _CHANGED, _HINT))

    def _fold(self, event: Event, offset: int) -> None:
        if isinstance(event.body, RunEnded):
            self.warn()
            asked = self._recorder.snapshot.state is TaskState.CANCELLING
            if event.body.state is TaskState.CANCELLED and not asked:
                self._recorder.emit(Warned("stopped_on_instance", _STOPPED, _STOPPED_HINT))
        self._recorder.apply(event, offset)
