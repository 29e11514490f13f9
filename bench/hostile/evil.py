"""What a lying instance puts into its answers: values that are no values, texts that steer, lines that are no lines."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

STEERING = (
    "\x1b]52;c;ZXZpbA==\x07\x1b]8;;http://evil.invalid\x1b\\x\x1b]8;;\x1b\\\x1b[2J\x9b31m\x00\r\u202e\u2066\u2028"
    '<img src=x onerror="document.title=1">[link=http://evil.invalid]x[/link][/none]"} 1\n# HELP x'
)
_TEXTS = (
    STEERING,
    "",
    "x" * 300_000,
    "../../../etc/passwd",
    "ext::sh -c id",
    "--upload-pack=id",
    "\ud800",
    "NaN",
    "0" * 5000,
)
_NUMBERS = (float("nan"), float("inf"), float("-inf"), 1e308, -1e308, -1, 0, 2**63, 10**400, 0.1, True, -0.0)
DEPTHS = (200, 900, 5000, 200_000)
_DEEP = "lists in lists: "
_DEEP_TEXT = re.compile(rb'"lists in lists: ([0-9]+)"')


def value(dice: random.Random) -> Any:
    """Anything but what belongs there."""
    kind = dice.randrange(6)
    if kind == 0:
        return dice.choice(_NUMBERS)
    if kind == 1:
        return dice.choice(_TEXTS)
    if kind == 2:
        return None
    if kind == 3:
        return [dice.choice(_NUMBERS)] * dice.choice((0, 1, 20_000))
    if kind == 4:
        return {dice.choice(_TEXTS): number for number in range(dice.choice((0, 1, 50)))}
    return f"{_DEEP}{dice.choice(DEPTHS)}"


def changed(raw: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A true object with one to three fields that are missing, of another type or evil."""
    found = dict(raw)
    for _ in range(dice.randint(1, 3)):
        name = dice.choice(sorted(found)) if found else "event"
        how = dice.randrange(4)
        if how == 0:
            found.pop(name, None)
        elif how == 1:
            found[dice.choice(("success", "endpoint", "host_key", "__class__", STEERING))] = value(dice)
        elif how == 2 and isinstance(found.get(name), dict):
            found[name] = changed(found[name], dice)
        else:
            found[name] = value(dice)
    return found


def text_of(raw: Any) -> bytes:
    """JSON, with the NaN and the lone surrogates that Python writes, and lists in lists deeper than it would write."""
    return _DEEP_TEXT.sub(lambda found: b"[" * int(found[1]) + b"]" * int(found[1]), json.dumps(raw).encode("ascii"))


def line(raw: dict[str, Any], dice: random.Random) -> bytes:
    """A true event of the journal as something that may be none."""
    how: Callable[[], bytes] = dice.choice(
        (
            lambda: text_of(changed(raw, dice)),
            lambda: text_of(changed(raw, dice)),
            lambda: text_of({**raw, "seq": dice.choice((-1, 0, 1, raw["seq"] - 1, raw["seq"] + 1000, 2**70))}),
            lambda: text_of({**raw, "wall": dice.choice(_NUMBERS), "mono": dice.choice(_NUMBERS)}),
            lambda: text_of({**raw, "event": dice.choice(("invented", "", 7, STEERING, "given_up", "queued"))}),
            lambda: text_of(raw)[: dice.randrange(2, 40)],
            lambda: b"[" * dice.choice(DEPTHS),
            lambda: b'{"a":' * dice.choice(DEPTHS),
            lambda: bytes(dice.randrange(256) for _ in range(64)).replace(b"\n", b" "),
            lambda: text_of({**raw, "x": "y" * 3_000_000}),
            lambda: text_of(raw).replace(b":", b":-", 1),
            lambda: b'{"seq":1,' + text_of(raw)[1:],
        )
    )
    return how()
