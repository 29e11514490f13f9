"""The service's own log, and reading a task's."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.cli.api import log_reading
from app.cli.server import logs
from app.settings import InvalidSetting, settings_from

TASK = "550e8400-e29b-41d4-a716-446655440000"
TOKEN = 'a "long" random text'


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Said]:
    """What came on stderr; the root logger is as before at the end."""
    root = logging.getLogger()
    level, paramiko = root.level, logging.getLogger("paramiko").level
    yield lambda: capsys.readouterr().err
    for handler in [handler for handler in root.handlers if isinstance(handler, logs._StderrHandler)]:
        root.removeHandler(handler)
    root.setLevel(level)
    logging.getLogger("paramiko").setLevel(paramiko)


def test_json_lines_name_task_and_incident(said: Said) -> None:
    """From the message, or from the install's thread."""
    logs.configure("INFO", form="json")
    logger = logging.getLogger("app.x")
    logger.info("task %s: %s", TASK, "ended by a bug, incident 0123456789ab")
    logger.info("request status=200 task_id=%s", TASK)
    thread = threading.Thread(target=lambda: logger.warning("no name\nhere"), name=f"task-{TASK}")
    thread.start()
    thread.join()
    logger.info("nothing of the kind")
    found: list[dict[str, Any]] = [json.loads(line) for line in said().splitlines()]
    assert [line["task_id"] for line in found] == [TASK, TASK, TASK, None]
    assert [line["incident"] for line in found] == ["0123456789ab", None, None, None]
    assert set(found[0]) == {"time", "level", "process", "logger", "message", "task_id", "incident"}
    assert found[0]["time"].endswith("Z") and found[2]["message"] == "no name\nhere"


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_in_a_line_and_every_event_is_one(said: Said, form: str) -> None:
    """Neither the token, whatever it is made of, nor a password of a URL, in messages and tracebacks."""
    logs.configure("INFO", form=form, secrets=(TOKEN,))
    try:
        raise ValueError(f"https://user:hunter2@host.example/ and {TOKEN}")
    except ValueError:
        logging.getLogger("app.x").exception("could not fetch https://user:hunter2@host.example/ with %s", TOKEN)
    text = said()
    assert "hunter2" not in text and "random text" not in text
    assert text.count("\n") == 1 and "Traceback" in text and "host.example" in text


def test_the_text_form_stays_readable(said: Said) -> None:
    """`key=value`, quoted where it must be."""
    logs.configure("INFO")
    logging.getLogger("app.x").info("two words")
    assert said().rstrip().endswith('level=INFO logger=app.x msg="two words"')


def test_a_process_that_has_others_beside_it_says_which_it_is(said: Said) -> None:
    """Lines of several processes come together in one place. The process that is alone stays as it is."""
    logs.configure("INFO", role="worker")
    logging.getLogger("app.x").info("one")
    thread = threading.Thread(target=lambda: logging.getLogger("app.x").info("two"), name=f"task-{TASK}")
    thread.start()
    thread.join()
    logs.configure("INFO", role="web", form="json")
    logging.getLogger("app.x").info("three")
    first, second, third = said().splitlines()
    name = f"worker@{socket.gethostname()}:{os.getpid()}"
    assert f"process={name} logger=app.x msg=one" in first
    assert second.endswith(f"msg=two task_id={TASK}")
    assert json.loads(third)["process"] == name.replace("worker", "web")


def test_another_form_is_refused() -> None:
    """By the setting's name."""
    with pytest.raises(InvalidSetting, match="log_format"):
        settings_from({"NODEFERRY_LOG_FORMAT": "xml"})
    assert settings_from({"NODEFERRY_LOG_FORMAT": "json"}).log_format == "json"


def test_a_log_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Piece by piece; while it grows it is asked for again."""
    monkeypatch.setattr(log_reading, "POLL_SECONDS", 0.01)
    script = iter(
        [
            {"text": "one", "next_offset": 3, "size": 6, "complete": False},
            {"text": "two", "next_offset": 6, "size": 6, "complete": False},
            {"text": "", "next_offset": 6, "size": 6, "complete": False},
            {"text": "three", "next_offset": 11, "size": 11, "complete": True},
        ]
    )
    asked: list[int] = []

    def read(offset: int) -> dict[str, Any]:
        asked.append(offset)
        return next(script)

    assert list(log_reading.parts(read, follow=True)) == ["one", "two", "three"]
    assert asked == [0, 3, 6, 6]


def test_without_following_it_ends_at_what_there_is() -> None:
    """A task that runs does not hold the command."""
    part = {"text": "one", "next_offset": 3, "size": 3, "complete": False}
    assert list(log_reading.parts(lambda _offset: part, follow=False)) == ["one"]


def test_libraries_are_heard_from_warnings_on(said: Said) -> None:
    """At DEBUG whatever they say."""
    for level in ("INFO", "DEBUG"):
        logs.configure(level)
        logging.getLogger("alembic.runtime").info("a migration")
        logging.getLogger("a_library").warning("a warning")
        logging.getLogger("app.x").info("ours")
        lines = said()
        assert ("a migration" in lines) == (level == "DEBUG")
        assert "a warning" in lines and "ours" in lines
