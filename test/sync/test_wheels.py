"""What an instance says of its wheels, and what it sends, is checked before anybody gets it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from app.domain.errors import RunnerProtocolError
from app.protocol.wheel_names import MAX_WHEELS, is_any_platform, is_wheel_name, package_of
from app.sync.wheels import Wheel, _read, checked

NAME = "tool-1.0-py3-none-any.whl"
PIECES = [b"one", b"two", b"three"]


def wheel(content: bytes = b"onetwothree") -> Wheel:
    return Wheel(NAME, len(content), hashlib.sha256(content).hexdigest(), own=True)


def gather(sent: Iterator[bytes], came: bytearray) -> None:
    for piece in sent:
        came += piece


def test_what_is_as_was_said_comes_whole() -> None:
    assert b"".join(checked(iter(PIECES), wheel(), 0)) == b"onetwothree"
    assert b"".join(checked(iter(PIECES[1:]), wheel(), 3)) == b"twothree"
    assert list(checked(iter([]), wheel(), 11)) == []


def test_what_is_not_never_comes_whole() -> None:
    """Who reads it gets fewer bytes than were announced."""
    for pieces in ([b"one", b"two", b"thred"], [b"one"], [], [b"one", b"two", b"three", b"four"]):
        came = bytearray()
        with pytest.raises(RunnerProtocolError):
            gather(checked(iter(pieces), wheel(), 0), came)
        assert len(came) < 11


def entry(**fields: Any) -> dict[str, Any]:
    return {"name": NAME, "bytes": 3, "sha256": "a" * 64, "own": True, **fields}


@pytest.mark.parametrize(
    "fields",
    [
        *({"name": name} for name in ("../" + NAME, "a/b-1.0-py3-none-any.whl", "x", None, 3, NAME + "\n", "x" * 9999)),
        *({"bytes": size} for size in (None, "3", True, -1, 0, 1 << 60, 1.5)),
        *({"sha256": digest} for digest in (None, "", "a" * 63, "Z" * 64, "a" * 65, 1)),
    ],
)
def test_an_entry_that_is_none_is_left_out(fields: dict[str, Any]) -> None:
    other = entry(name="other-1.0-py3-none-any.whl")
    assert [each.name for each in _read({"wheels": [entry(**fields), "x", None, other]})] == [other["name"]]


def test_a_list_is_bounded() -> None:
    many = [entry(name=f"tool-{number}-py3-none-any.whl") for number in range(MAX_WHEELS + 50)]
    assert len(_read({"wheels": many})) == MAX_WHEELS


@pytest.mark.parametrize("answer", [{}, {"wheels": None}, {"wheels": {}}, {"wheels": "x"}])
def test_an_answer_without_a_list_is_an_error(answer: dict[str, Any]) -> None:
    with pytest.raises(RunnerProtocolError):
        _read(answer)


def test_the_names_of_wheels() -> None:
    good = [
        "tool-1.0-py3-none-any.whl",
        "Tool_x-1!2.0+cu128.g1-1-cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    ]
    assert [package_of(name) for name in good] == [("tool", "1.0"), ("tool-x", "1!2.0+cu128.g1")]
    assert [is_any_platform(name) for name in good] == [True, False]
    bad = [
        "",
        ".",
        "..",
        "a-1.0.whl",
        "-1.0-py3-none-any.whl",
        "a-x-py3-none-any.whl",
        "a b-1-py3-none-any.whl",
        "a-1-p-n-a.zip",
    ]
    assert [name for name in bad if is_wheel_name(name)] == []
