"""Mutations of pasted texts, and a bounded run over them. Each kind of address is a `Reader`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

MAX_SECONDS_EACH = 1.0
_ODD = ("\u200b", "\u00a0", "\ufeff", "\u202e", "\u2028", "\0", "\x1b[31m", "\ud800", "\ufffd", "\u00e9", "\u4e2d")
_ODD_DIGITS = ("\U0001f600", "\uff1a", "\uff0f", "\uff11", "\u0661")
_BLANK = (" ", "\t", "\n", "\r", "\r\n", " " * 99)
_WORDS = r"""
/ // : @ # ? & = % . .. ... - -- , ; ' " ` < > ( ) [ ] { } | \\ ~ ^ * ! $ ]( -> &&
https:// http:// ssh:// git:// git+https:// file:/// ext:: https:/ git@ root@
-p -i -J -l -L -o -F -W -b -p22 -NT -oProxyCommand=id --upload-pack=id ProxyJump= Port= User= IdentityFile=
/tree/ /blob/ /commit/ /pull/ /-/ /src/branch/ /archive/ .git .zip /releases/tag/ refs/heads/ tree:
github.com gitlab.com huggingface.co gist.github.com 127.0.0.1 [::1] ::1 %eth0 localhost :22 :99999
%2F %00 %0a %40 ssh scp rsync ~/ $HOME/ ${HOME} $(id) `id`
"""
_COMMANDS = (" && ", "git clone ", " ssh -p 22 ", "Host x\n HostName y")
_LONG = ("0" * 40, "a" * 300, "(" * 60, "/a" * 120)
_PIECES = (*_ODD, *_ODD_DIGITS, *_BLANK, *_WORDS.split(), *_COMMANDS, *_LONG)
Check = Callable[[str], str | None]
"""What is wrong with the reading of a text; None where nothing is."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A kind of address. `texts`: what mutations begin with; `check`: for any text; `own`: makes a text of a special
    kind, with the check for it."""

    name: str
    texts: Sequence[str]
    check: Check
    own: Callable[[random.Random], tuple[str, Check]]


@dataclass(slots=True)
class Result:
    """What a run has found."""

    read: int = 0
    slowest: float = 0.0
    wrong: list[tuple[str, str]] = field(default_factory=list)


def run(reader: Reader, seed: int, *, seconds: float, most: int | None = None) -> Result:
    """Reads mutated texts for so long, or so many; ends after twenty that were wrong."""
    rng = random.Random(seed)
    result = Result()
    until = time.monotonic() + seconds
    for text, check in _texts(reader, rng):
        if time.monotonic() > until or result.read == most or len(result.wrong) == 20:
            break
        started = time.process_time()
        wrong = _said(check, text)
        spent = time.process_time() - started
        result.read += 1
        result.slowest = max(result.slowest, spent)
        if wrong or spent > MAX_SECONDS_EACH:
            result.wrong.append((text, wrong or f"it took {spent:.1f} s"))
    return result


def _said(check: Check, text: str) -> str | None:
    """An error that is none of the reader's own is wrong too."""
    try:
        return check(text)
    except Exception as exc:  # noqa: BLE001  # what a fuzzer looks for
        return f"{type(exc).__name__}: {exc}"


def _texts(reader: Reader, rng: random.Random) -> Iterator[tuple[str, Check]]:
    for text in reader.texts:
        yield text, reader.check
    while True:
        kind = rng.random()
        if kind < 0.15:
            yield reader.own(rng)
        elif kind < 0.2:
            yield "".join(_character(rng) for _ in range(rng.randrange(80))), reader.check
        else:
            yield mutated(rng, reader.texts), reader.check


def _character(rng: random.Random) -> str:
    return chr(rng.choice((rng.randrange(128), rng.randrange(0x11000))))


def mutated(rng: random.Random, texts: Sequence[str]) -> str:
    """One of the texts, changed at one to five places."""
    text = rng.choice(texts)
    for _ in range(rng.randint(1, 5)):
        at, to = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
        other = rng.choice(texts)
        text = rng.choice(
            (
                lambda text=text, at=at: text[:at] + rng.choice(_PIECES) + text[at:],
                lambda text=text, at=at: f"{text[:at]} {rng.choice(_PIECES)} {text[at:]}",
                lambda text=text, at=at, to=to: text[:at] + text[to:],
                lambda text=text, at=at: text[:at] + text[at + 1 :],
                lambda text=text, at=at, to=to: text[:at] + text[at:to] * 2 + text[to:],
                lambda text=text, at=at, other=other: text[:at] + other[rng.randint(0, len(other)) :],
                lambda text=text, other=other: text + rng.choice(("", " ", "\n", ", ", "/")) + other,
                lambda text=text: text.swapcase(),
                lambda text=text, at=at: text[:at] + chr(rng.randrange(0x10000)) + text[at + 1 :],
            )
        )()
    return text
