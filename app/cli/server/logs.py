"""The service's log on stderr: one line an event, as `key=value` or as JSON, times in UTC, secrets left out."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from datetime import UTC, datetime

from app.protocol import task_id
from app.protocol.redaction import masked
from app.protocol.terminal_text import json_text

TEXT, JSON = "text", "json"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_TASK = re.compile(rf"\b(?:task |task_id=)({task_id.PATTERN})\b")
_THREAD = re.compile(rf"task-({task_id.PATTERN})")
"""An install's thread is called so: whatever is logged there is about that install."""
_INCIDENT = re.compile(r"\bincident[ =]([0-9a-f]{12})\b")


class _Formatter(logging.Formatter):
    """What both forms share."""

    def __init__(self, secrets: tuple[str, ...] = (), process: str = "") -> None:
        """`process`: what to call this process; empty: there is no other."""
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if secret)
        self._process = process

    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        """What the line says, without secrets."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {"time": moment, "level": record.levelname}
        if self._process:
            fields["process"] = self._process
        fields |= {"logger": record.name, "message": record.getMessage()}
        fields |= {name: str(value) for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return {name: self._clean(value) for name, value in fields.items()}

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return masked(text)


class LogfmtFormatter(_Formatter):
    """`time=… level=… process=… logger=… msg=…` and whatever was given as `extra`; the task's id where the line has it
    nowhere else."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; a traceback is a quoted value of it."""
        fields = self._fields(record)
        task = _THREAD.fullmatch(record.threadName or "")
        if task and task.group(1) not in fields["message"]:
            fields["task_id"] = task.group(1)
        return " ".join(f"{'msg' if name == 'message' else name}={_quoted(value)}" for name, value in fields.items())


class JsonFormatter(_Formatter):
    """An object with time, level, process, logger, message, task_id, incident (null where there is none), and any
    `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields = self._fields(record)
        task = _TASK.search(fields["message"]) or _THREAD.fullmatch(record.threadName or "")
        incident = _INCIDENT.search(fields["message"])
        found = {"task_id": task and task.group(1), "incident": incident and incident.group(1)}
        return json_text(found | fields)


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Writes to whatever sys.stderr is at that moment, so that a live drawing can put lines above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def configure(level: str, *, form: str = TEXT, secrets: tuple[str, ...] = (), role: str = "") -> None:
    """Send the process's log to stderr from `level` on (a word of the logging module; an unknown one is INFO), as
    `text` or `json`. What libraries say is for DEBUG, but for their warnings. `role`: of a service's process; lines of
    one that has others beside it name it."""
    handler = _StderrHandler()
    process = f"{role or 'all'}@{socket.gethostname()}:{os.getpid()}"
    alone = role in {"", "all"}
    handler.setFormatter(
        JsonFormatter(secrets, process) if form == JSON else LogfmtFormatter(secrets, "" if alone else process)
    )
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _StderrHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    if number > logging.DEBUG:
        handler.addFilter(_is_for_people)
    root.setLevel(number)


def _is_for_people(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] == "app"


def _quoted(value: str) -> str:
    printable = value and value.isprintable() and not any(char in ' "=' for char in value)
    return value if printable else json_text(value)
