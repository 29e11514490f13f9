"""Random changes to bytes and to JSON values. What is made follows from the random numbers alone."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

MAX_BYTES = 64 * 1024
_ODD_TEXTS = (
    "\0", "\x1b[31m", "\x1b]52;c;aGk=\x07", "\r", "\n", "\r\n", "\t", " ", "\x0b", "\x85", "\u2028", "\u202e",
    "\ufeff", "\u200b", "\ud800", "\U0001f600", "\u0661", "\uff11", "%", "%s", "..", "../", "/", "\\", '"', "'",
    "*", "?", "!", "[", "]", "{", "}", ",", ":", "|", "=", "-", "#", "@", "$", "${HOME}", "~", "~root/",
)  # fmt: skip
_ODD_BYTES = (
    *(text.encode("utf-8", "surrogatepass") for text in _ODD_TEXTS),
    *(b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xfe\xff", b"\xff\xfe"),
)
_ODD_NUMBERS = (0, -1, 1, 2**31, 2**32, 2**53, 2**63, -(2**63) - 1, 10**30, 10**4200, 0.5, -0.0, 1e308, -1e308)
_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, "", " ", "a" * 5000, "\0", "\ud800", "\x1b[2J", "\u202e", "../../x", "-oProxyCommand=id",
    "ext::sh -c id", "NaN", [], {}, [None], {"": {}}, float("nan"), float("inf"), float("-inf"), *_ODD_NUMBERS,
)  # fmt: skip
_DEEPEST = 1200


def mutated(rng: random.Random, seeds: Sequence[bytes], words: Sequence[bytes], *, as_json: bool) -> bytes:
    """One of the seeds, changed a few times; with `as_json` most often as JSON values, one of them or one a line."""
    data = rng.choice(seeds)
    if as_json and rng.random() < 0.7:
        lines = data.split(b"\n") if b"\n{" in data and not _is_json(data) else [data]
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = rng.randrange(len(lines))
            lines[at] = _mutated_json(rng, lines[at], seeds)
        data = b"\n".join(lines)
        if rng.random() < 0.7:
            return data[:MAX_BYTES]
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        data = rng.choice(_CHANGES)(rng, data, rng.choice(seeds), words)[:MAX_BYTES]
    return data


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _range(rng: random.Random, data: bytes) -> tuple[int, int]:
    at = rng.randint(0, len(data))
    return at, min(len(data), at + rng.choice((1, 2, 8, 40, 400)))


def _flip(rng: random.Random, data: bytes, _other: bytes, _words: Sequence[bytes]) -> bytes:
    at, _ = _range(rng, data)
    return data[:at] + bytes(each ^ (1 << rng.randrange(8)) for each in data[at : at + 1]) + data[at + 1 :]


def _byte(rng: random.Random, data: bytes, _other: bytes, _words: Sequence[bytes]) -> bytes:
    at, _ = _range(rng, data)
    return data[:at] + rng.randbytes(1) + data[at + rng.randint(0, 1) :]


def _word(rng: random.Random, data: bytes, _other: bytes, words: Sequence[bytes]) -> bytes:
    at, to = _range(rng, data)
    piece = rng.choice(words) if words and rng.random() < 0.6 else rng.choice(_ODD_BYTES)
    return data[:at] + piece * rng.choice((1, 1, 1, 3, 200)) + data[rng.choice((at, to)) :]


def _cut(rng: random.Random, data: bytes, _other: bytes, _words: Sequence[bytes]) -> bytes:
    at, to = _range(rng, data)
    return data[:at] + (data[to:] if rng.random() < 0.8 else b"")


def _repeat(rng: random.Random, data: bytes, _other: bytes, _words: Sequence[bytes]) -> bytes:
    at, to = _range(rng, data)
    return data[:at] + data[at:to] * rng.choice((2, 2, 10, 300, 5000)) + data[to:]


def _splice(rng: random.Random, data: bytes, other: bytes, _words: Sequence[bytes]) -> bytes:
    at, _ = _range(rng, data)
    begin, end = _range(rng, other)
    return data[:at] + (other[begin:end] + data[at:] if rng.random() < 0.5 else other[begin:])


def _lines(rng: random.Random, data: bytes, other: bytes, _words: Sequence[bytes]) -> bytes:
    """Lines moved, doubled, lost, indented or taken from another seed."""
    lines = data.split(b"\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(5)
    if what == 0:
        lines[at], lines[to] = lines[to], lines[at]
    elif what == 1:
        lines.insert(to, lines[at])
    elif what == 2:
        del lines[at]
    elif what == 3:
        lines[at] = rng.choice((b" ", b"  ", b"\t", b"- ", b"#", b"? ")) + lines[at]
    else:
        lines.insert(at, rng.choice(other.split(b"\n")))
    return b"\n".join(lines)


def _number(rng: random.Random, data: bytes, _other: bytes, _words: Sequence[bytes]) -> bytes:
    """A run of digits becomes another number."""
    starts = [at for at, each in enumerate(data[:20_000]) if 48 <= each <= 57]
    if not starts:
        return data
    at = to = rng.choice(starts)
    while to < len(data) and 48 <= data[to] <= 57:
        to += 1
    return data[:at] + str(rng.choice((*_ODD_NUMBERS[:-4], "9" * 5000))).encode("ascii") + data[to:]


_CHANGES: Sequence[Callable[[random.Random, bytes, bytes, Sequence[bytes]], bytes]] = (
    _flip, _byte, _word, _word, _cut, _repeat, _splice, _lines, _lines, _number,
)  # fmt: skip


def _mutated_json(rng: random.Random, line: bytes, seeds: Sequence[bytes]) -> bytes:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return line
    for _ in range(rng.choice((1, 1, 2, 3))):
        value = _changed(rng, value, seeds)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.8)
    if rng.random() < 0.05:
        text = text.replace("null", rng.choice(("[" * _DEEPEST + "]" * _DEEPEST, '{"a":' * _DEEPEST)), 1)
    return text.encode("utf-8", "surrogatepass")


def _changed(rng: random.Random, value: Any, seeds: Sequence[bytes]) -> Any:
    """A value with one change somewhere in it."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        return _changed_object(rng, dict(value), seeds)
    if isinstance(value, list) and value and rng.random() < 0.85:
        items = list(value)
        at = rng.randrange(len(items))
        what = rng.randrange(4)
        if what == 0:
            items[at] = _odd(rng, seeds)
        elif what == 1:
            items[at:at] = items[at : at + 1] * _times(rng, items[at], (1, 2, 100, 1500))
        elif what == 2:
            del items[at]
        else:
            items[at] = _changed(rng, items[at], seeds)
        return items
    return _odd(rng, seeds)


def _changed_object(rng: random.Random, found: dict[str, Any], seeds: Sequence[bytes]) -> dict[str, Any]:
    key, what = rng.choice(list(found)), rng.randrange(7)
    if what == 0:
        found[key] = _odd(rng, seeds)
    elif what == 1:
        del found[key]
    elif what == 2:
        found[str(rng.choice((key + "x", "", "\0", "__class__", "a" * 300, "\ud800")))] = found.pop(key)
    elif what == 3:
        found[rng.choice(list(found))] = found[key]
    elif what == 4 and rng.random() < 0.3:
        found |= {f"{key}{number}": found[key] for number in range(_times(rng, found[key], (3, 100, 2000)))}
    else:
        found[key] = _changed(rng, found[key], seeds)
    return found


def _times(rng: random.Random, value: Any, choices: Sequence[int]) -> int:
    """How often a value is repeated: never so that an input grows far beyond its limit."""
    return min(rng.choice(choices), 1 + MAX_BYTES // len(json.dumps(value)))


def _odd(rng: random.Random, seeds: Sequence[bytes]) -> Any:
    """A value that nobody expects, or one from another seed."""
    if rng.random() < 0.85:
        return rng.choice(_ODD_VALUES)
    lines = rng.choice(seeds).split(b"\n")
    try:
        return json.loads(rng.choice(lines))
    except (ValueError, RecursionError):
        return rng.randbytes(rng.choice((1, 8, 60))).decode("latin-1")
