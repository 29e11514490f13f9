"""`install`: the same engine in the foreground, for web terminals, on-start scripts and image builds.

    python3 nodeferry-….pyz install --csv list.csv --ui-home /workspace/ComfyUI

Prints a line for each thing that happens, and a table at the end. `command_line` has the options and the exit status.
"""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import sys
import threading
import time
import uuid
from typing import Any, List, Mapping

from app.protocol import progress_json
from app.protocol.events import decode
from app.protocol.json_fields import ProtocolFault
from app.protocol.options import Options
from app.protocol.redaction import masked
from app.protocol.reducer import reduce
from app.protocol.seal import Seal, new_secret
from app.protocol.snapshot import Snapshot
from app.protocol.terminal_text import one_line
from app.runner.daemon import run_files
from app.runner.daemon.journal_reader import JournalReader
from app.runner.daemon.run_log import begin_logging
from app.runner.process.answers import Answers
from app.runner.process.locks import lock_now
from app.runner.process.paths import Task
from app.runner.process.private_files import make_folder, private
from app.runner.standalone.command_line import is_terminal, request_of
from app.runner.standalone.progress_lines import lines_of, table
from app.runner.standalone.terminal_answers import TerminalAnswers

_LOOK_SECONDS = 0.2


def main(argv: List[str]) -> int:
    """Runs `install` to its end; the exit status."""
    request = request_of(argv)
    if not is_terminal():  # nobody could answer
        request["options"] = {**request["options"], "ask": "never"}
    return install(request)


def install(request: Mapping[str, Any]) -> int:
    """Runs one install in this process. Main thread only; a signal that asks to stop cancels the run."""
    from app.runner.run import run

    task = Task(str(uuid.uuid4()))
    make_folder(task.folder.parent)
    make_folder(task.folder)
    lock = lock_now(task.lock)
    run_files.replace_file(task.request, json.dumps(request).encode("ascii"))
    open(str(task.log), "ab", opener=private).close()
    begin_logging(logging.FileHandler(str(task.log)))
    os.umask(0o022)
    _cancel_by_signals(task)
    _print_anything()
    seal = Seal(new_secret())
    show = _Show(task, request, seal)
    show.line("Task %s; everything is logged in %s" % (task.task_id, task.folder))
    try:
        run(task, request, show.start, seal)
    except OSError as exc:  # before the journal is open; later ones are in it
        show.line("The install could not start: %s" % exc)
    show.finish()
    if lock is not None:
        os.close(lock)
    return show.result()


def _print_anything() -> None:
    """Letters that the terminal's encoding does not have become question marks."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _cancel_by_signals(task: Task) -> None:
    """What was ignored (nohup) stays so. The handler leaves a file that the run looks for."""

    def cancel(_number: int, _frame: object) -> None:
        task.cancel.touch(mode=0o600)

    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, cancel)


class _Show:
    """Reads the journal as it grows and prints what is new in it."""

    # `run` tells from its own threads; one that reads the file needs nothing of them

    def __init__(self, task: Task, request: Mapping[str, Any], seal: Seal) -> None:
        self._task = task
        self._seal = seal
        by_repo = "repo" in (request.get("manifest") or {})
        self._snapshot: Snapshot = progress_json.initial(task.task_id, time.time(), auto_installer=by_repo)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="show", daemon=True)
        self._plan_only = Options.read(request.get("options")).plan_only
        self._output_closed = False
        self._terminal = TerminalAnswers(Answers(task), self.line, seal)

    def start(self) -> None:
        """The journal is there: prints from now on."""
        self._thread.start()

    def finish(self) -> None:
        """Prints the rest."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def result(self) -> int:
        """Prints the table; the exit status."""
        document = progress_json.progress(self._snapshot, time.time())
        for text in table(document, plan_only=self._plan_only):
            self.line(text)
        return int(document.get("return_code", 1))

    def line(self, text: str) -> None:
        """Prints one line for a person. The run goes on when nobody reads its output any more."""
        if self._output_closed:
            return
        try:
            sys.stdout.write(masked(one_line(text)) + "\n")
            sys.stdout.flush()
        except OSError:
            self._output_closed = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python's own end would fail by what it could not write

    def _follow(self) -> None:
        with JournalReader(self._task.journal) as journal:
            while True:
                ended = self._ended.is_set()
                found = journal.next()
                if found is not None:
                    self._apply(found[1].rstrip(b"\n"))
                    continue
                if ended:
                    return
                self._terminal.read()
                self._ended.wait(_LOOK_SECONDS)

    def _apply(self, line: bytes) -> None:
        if not self._seal.has_line(line):
            return  # it is not the run's: the run tells of it
        try:
            event = decode(line)
            if event.seq <= self._snapshot.journal_seq:
                return
            before, self._snapshot = self._snapshot, reduce(self._snapshot, event, time.time())
        except ProtocolFault as exc:
            self.line("(a line of the journal cannot be read: %s)" % exc)
            return
        for text in lines_of(event, before, self._snapshot):
            self.line(text)
        self._terminal.update(self._snapshot)
