"""The service's log: one `key=value` line an event on stderr, times in UTC, secrets left out."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class LogfmtFormatter(logging.Formatter):
    """`time=… level=… logger=… msg=…` and whatever was given as `extra` (task_id first of all)."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; a traceback is a quoted value of it."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shown = {"time": moment, "level": record.levelname, "logger": record.name, "msg": record.getMessage()}
        shown |= {name: str(value) for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            shown["traceback"] = self.formatException(record.exc_info)
        line = " ".join(f"{name}={_quoted(value)}" for name, value in shown.items())
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Writes to whatever sys.stderr is at that moment, so that a live drawing can put lines above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def configure(level: str, *, secrets: tuple[str, ...] = ()) -> None:
    """Send the process's log to stderr from `level` on (a word of the logging module; an unknown one is INFO)."""
    handler = _StderrHandler()
    handler.setFormatter(LogfmtFormatter(secrets))
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _StderrHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    root.setLevel(number)
    logging.getLogger("paramiko").setLevel(max(number, logging.WARNING))


def _quoted(value: str) -> str:
    plain = value and value.isprintable() and not any(char in ' "=' for char in value)
    return value if plain else json.dumps(value)
