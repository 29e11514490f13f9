"""run.log: a line for each event of the journal that is not one of very many, and what the runner logs besides."""

from __future__ import annotations

import logging
import threading
from typing import Mapping, Optional, Type

from app.protocol.event_body import Body
from app.protocol.events import (
    NodeChanged,
    PackagesProgress,
    PhaseChanged,
    QuestionAnswered,
    QuestionAsked,
    RequirementsChanged,
    RunEnded,
    RunStarted,
    ScriptChanged,
    StepChanged,
    Waiting,
    Warned,
)
from app.protocol.redaction import masked
from app.protocol.snapshot import Problem

_LINES: Mapping[Type[Body], str] = {
    RunStarted: "the run began: {task_id}, version {version}",
    PhaseChanged: "phase {phase}: {status} {detail}",
    StepChanged: "{name}: {status} {detail}",
    Waiting: "{message}",
    NodeChanged: "pack {name}: {state}{error}",
    RequirementsChanged: "pack {name}: requirements {status}{error}",
    ScriptChanged: "pack {name}: install.py {status}{error}",
    PackagesProgress: "packages: {done} of {total}",
    QuestionAsked: "question {question.id} ({question.code}): {question.text}",
    QuestionAnswered: "question {id}: {answer} ({source})",
    Warned: "warning ({code}): {message} {hint}",
    RunEnded: "the run ended: {state}{error}",
}


class _Masked(logging.Formatter):
    """Lines and tracebacks without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """As logging's own."""
        return masked(super().format(record))


def begin_logging(handler: logging.Handler) -> None:
    """Whatever the process logs goes to `handler`, and what a thread fails with too."""
    handler.setFormatter(_Masked("%(asctime)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    threading.excepthook = _log_failure


def _log_failure(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None:
        about = (failed.exc_type, failed.exc_value, failed.exc_traceback)
        logging.getLogger("runner").error("a thread failed", exc_info=about)


def line_of(body: Body) -> Optional[str]:
    """The event as one line of text; None for kinds that would only fill the log."""
    form = _LINES.get(type(body))
    if form is None:
        return None
    words = {name: "" if value is None else value for name, value in vars(body).items()}
    error = words.get("error")
    if isinstance(error, Problem):
        words["error"] = " (%s) %s %s" % (error.code, error.message, error.hint)
    return " ".join(form.format_map(words).split())
