"""The one form of a task_id; nothing else becomes a file's name."""

from __future__ import annotations

import re
import uuid

import pytest

from app.protocol.task_id import PATTERN, canonical, is_task_id
from test.house.sources import sources

TASK = "550e8400-e29b-41d4-a716-446655440000"
NOT_IDS = [
    TASK[:-1],
    TASK + "\n",
    " " + TASK,
    "{" + TASK + "}",
    "urn:uuid:" + TASK,
    TASK.replace("-", ""),
    TASK.replace("5", "\u0665"),
    "../" + TASK,
    "",
    None,
    7,
]


def test_every_id_that_python_makes_is_one() -> None:
    made = [str(uuid.uuid4()) for _ in range(100)]
    assert all(is_task_id(text) and canonical(text) == text for text in made)


def test_upper_case_is_read_and_never_kept() -> None:
    assert canonical(TASK.upper()) == TASK
    assert not is_task_id(TASK.upper())


@pytest.mark.parametrize("text", NOT_IDS, ids=repr)
def test_everything_else_is_refused(text: object) -> None:
    assert canonical(text) is None
    assert not is_task_id(text)


def test_the_pattern_stands_in_one_place() -> None:
    of_uuid = re.compile(re.escape("[0-9a-f]{8}"))
    assert [source.path for source in sources("app") if of_uuid.search(source.text)] == ["app/protocol/task_id.py"]
    assert of_uuid.search(PATTERN)
