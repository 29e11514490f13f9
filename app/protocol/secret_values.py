"""Secrets that this process was given: they are known by what they are, in every form that programs print them in.

Used by `redaction` alone. Only what somebody trusted has configured comes here (the settings, the environment, the
instance's own files), never what a pack or a server says: that could blank any word of a message.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from functools import lru_cache
from typing import Iterator, Pattern, Set, Tuple
from urllib.parse import quote, quote_plus, unquote

Span = Tuple[int, int]

MOST = 300
_SHORTEST, _LONGEST = 6, 4000
_FRAME = r"[ \t|>]|[\u2500-\u257f]|\xe2[\x94\x95][\x80-\xbf]|\\u25[0-7][0-9a-f]"
_BREAK = re.compile(r"(?:\r?\n|\\r\\n|\\n)(?:" + _FRAME + ")*")
"""How programs break what is too long for a line: pip and uv draw a frame at its left."""
_BETWEEN = "(?:" + _BREAK.pattern + ")?"
_coded: Tuple[str, ...] = ()
"""What the base64 of anything around them has."""
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_lock = threading.Lock()
_values: Tuple[str, ...] = ()
"""Every form of every secret, the longest first."""


def add(secret: str, user: str = "") -> None:
    """Remembers a secret; one that may be a word of a language only beside its user."""
    bare = unquote(secret)
    alone = [each for each in dict.fromkeys((secret, bare)) if _is_telling(each)]
    pairs = ["%s:%s" % pair for pair in ((user, secret), (unquote(user), bare))] if user and len(bare) > 1 else []
    forms: Set[str] = set()
    for text in alone:
        forms |= _forms(text)
    for pair in pairs:
        forms |= {_base64(pair), _base64(pair).rstrip("=")} | (_forms(pair) if user else set())
    coded = {part for text in alone for part in _inner_base64(text)}
    _add({form for form in forms if _SHORTEST <= len(form) <= _LONGEST}, coded)


def add_header(text: str) -> bool:
    """Remembers what an Authorization header has, where it is a login in base64: also the login. Whether it is one."""
    try:
        user, colon, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return False
    if colon and password and (user + password).isprintable():
        add(password, user)
        _add({text, text.rstrip("=")} if len(text) >= _SHORTEST else set(), set())
        return True
    return False


def known() -> Tuple[str, ...]:
    """Every form of every secret; another object once there is one more."""
    return _values


def spans(text: str) -> Iterator[Span]:
    """Where they are in `text`, whole or broken over lines."""
    for value in _values:
        for at in _positions(text, value):
            yield _escape_begin(text, at), at + len(value)
    for part in _coded:
        for at in _positions(text, part):
            yield len(text[:at].rstrip(_BASE64)), len(text) - len(text[at:].lstrip(_BASE64))
    yield from _broken_spans(text)


def _broken_spans(text: str) -> Iterator[Span]:
    if not _values or not ("\n" in text or "\\n" in text):
        return
    flat = _BREAK.sub("", text)
    for value in _values:
        if value in flat:
            for found in _broken(value).finditer(text):
                yield _escape_begin(text, found.start()), found.end()


def _positions(text: str, value: str) -> Iterator[int]:
    at = text.find(value)
    while at >= 0:
        yield at
        at = text.find(value, at + len(value))


def unfinished(text: str) -> int:
    """How many characters at the end of `text`, whole lines, could be the begin of a secret that the next lines end."""
    if "-----BEGIN" in text[-20_000:] and "-----END" not in text[text.rfind("-----BEGIN") :]:
        return min(20_000, len(text) - text.rfind("-----BEGIN"))
    if not _values:
        return 0
    tail = text[-2 * _LONGEST :]
    flat = _BREAK.sub("", tail).rstrip("\r\n")
    most = max((_overlap(flat, value) for value in _values), default=0)
    if not most:
        return 0
    seen, at = 0, len(tail)
    while at and seen < most:  # breaks between its letters are held with it
        at -= 1
        seen += flat.endswith(tail[at], 0, len(flat) - seen)
    return len(tail) - at


def _escape_begin(text: str, at: int) -> int:
    """`at`, or the backslash before it that belongs to it: JSON without the letter behind one is none."""
    backslashes = at - len(text[:at].rstrip("\\")) if at and text[at - 1] == "\\" else 0
    return at - backslashes % 2


def _overlap(flat: str, value: str) -> int:
    """How many letters of `value` stand at the end of `flat`, fewer than all."""
    last = flat[-1:]
    sizes = range(min(len(value) - 1, len(flat)), 0, -1)
    return next((size for size in sizes if value[size - 1] == last and flat.endswith(value[:size])), 0)


def _add(forms: Set[str], coded: Set[str]) -> None:
    global _values, _coded  # noqa: PLW0603 - what a process knows is the process's
    with _lock:
        known = [*_values, *sorted(forms - set(_values))][: MOST * 20]
        _values = tuple(sorted(known, key=len, reverse=True))
        _coded = tuple(sorted({*_coded, *coded}))[: MOST * 3]


@lru_cache(maxsize=512)
def _broken(value: str) -> Pattern[str]:
    """Finds it with a line break between any of its letters."""
    return re.compile(_BETWEEN.join(map(re.escape, value)))


def _is_telling(text: str) -> bool:
    """Whether it is no word, number or name that honest texts have."""
    if len(text) < 8 or text.isspace():
        return False
    kinds = [any(map(kind, text)) for kind in (str.isdigit, str.isupper, str.islower)]
    return sum(kinds) >= 2 or len(text) >= 20 or (not text.isalnum() and kinds[0])


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")


def _inner_base64(text: str) -> Set[str]:
    """What the base64 of whatever has `text` in it has, behind any number of other bytes: `user:text` of any user."""
    raw = text.encode("utf-8", "replace")
    parts = set()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + raw).decode("ascii").rstrip("=")
        parts.add(coded[4 if before else 0 : (len(raw) + before) // 3 * 4])
    return {part for part in parts if len(part) >= _SHORTEST + 2}


def _forms(text: str) -> Set[str]:
    """As URLs, JSON, Python, HTML, headers and capitals have it."""
    coded = quote(text, safe="")
    escaped = json.dumps(text)[1:-1]
    forms = {text, coded, quote(text), quote_plus(text), escaped, json.dumps(text, ensure_ascii=False)[1:-1]}
    forms |= {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), coded), repr(text)[1:-1]}
    forms |= {text.replace("&", "&amp;").replace("<", "&lt;"), _base64(text), _base64(text).rstrip("=")}
    forms |= {text.upper(), text.lower()} if len(text) >= 8 else set()
    return forms | {form.encode("utf-8", "replace").decode("latin-1") for form in forms if not form.isascii()}
