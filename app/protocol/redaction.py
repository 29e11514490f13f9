"""Hides secrets in whatever is said, logged, kept or answered: the one place that knows what a secret is.

A secret is known by its shape (`secret_shapes`: logins in URLs, tokens by their beginning, fields and variables by
their names) or by its value (`secret_values`: what this process was given as a credential). Each becomes `***`.
"""

from __future__ import annotations

from typing import List, Mapping, Tuple

from app.protocol import secret_shapes, secret_values

MASK = "***"
_WHOLE_LINE_BYTES = 8 * 1024
"""So much of a line that has not ended is held, for the rest of a secret."""
_NAME_BYTES = 128
"""And of it, so much before a secret that says what it is."""
_LATIN = "latin-1"
"""Bytes as text and back, whatever they are."""


def masked(text: str) -> str:
    """`text` without its secrets, each replaced by `***`."""
    return _replaced(text, _spans(text), same_length=False)


def masked_by_line(text: str) -> str:
    """As `masked`, each line where it was: of a secret that is broken over lines, their ends stay."""
    parts, at = [], 0
    for begin, end in _spans(text):
        parts += [text[at:begin], MASK, "\n" * text.count("\n", begin, end)]
        at = end
    return "".join([*parts, text[at:]])


def masked_bytes(raw: bytes) -> bytes:
    """As `masked`, with as many asterisks as a secret has bytes: offsets in a log stay valid."""
    text = raw.decode(_LATIN)
    return _replaced(text, _spans(text), same_length=True).encode(_LATIN)


def masked_part(raw: bytes, begin: int, end: int) -> bytes:
    """`raw[begin:end]` without the secrets of all of `raw`: also those that it has only a piece of, or not the name."""
    text = raw.decode(_LATIN)
    parts, at = [], begin
    for first, last in _spans(text):
        if first < end and last > at:
            parts += [text[at : max(at, first)], MASK]
            at = min(last, end)
    return "".join([*parts, text[at:end]]).encode(_LATIN)


def what_is_masked() -> object:
    """The same object as long as no other secret was registered."""
    return secret_values.known()


def register(secret: str, user: str = "") -> None:
    """From now on `secret` is masked wherever this process says it, also encoded, in capitals, or broken over lines.
    `user`: whose password it is. One that could be a word of the language is masked only beside its user."""
    secret_values.add(secret, user)


def register_text(text: str) -> None:
    """The secrets that `text`, which somebody has configured, shows by their shape."""
    for begin, end in secret_shapes.spans(text):
        secret, before = text[begin:end], text[:begin]
        user, colon, password = secret.partition(":")
        if before.endswith("://") and colon:
            register(password, user)
        elif not secret_values.add_header(secret):
            register(secret)


def register_variables(environ: Mapping[str, str]) -> None:
    """The secrets in a program's variables."""
    for name, value in environ.items():
        if secret_shapes.is_secret_name(name) and not value.startswith(("/", "~/")):
            register(value.strip())
        register_text(value)


class MaskedLines:
    """One program's output, piece by piece: a secret that two pieces share is masked too. For one thread."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """What of the output so far can be kept: whole lines, or much of a long one."""
        data = self._held + piece
        cut = self._end_of_lines(data)
        if len(data) - cut > _WHOLE_LINE_BYTES:
            cut = _inside_line(data)
        self._held = data[cut:]
        return _masked_piece(data[:cut])

    def end(self) -> bytes:
        """What is left, when there is no next piece."""
        held, self._held = self._held, b""
        return _masked_piece(held)

    @staticmethod
    def _end_of_lines(data: bytes) -> int:
        """Behind the last line that has ended and that no secret goes on from."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        return end - secret_values.unfinished(data[:end].decode(_LATIN)) if end else 0


def _inside_line(data: bytes) -> int:
    """Where a line that is too long to be held may be cut: before no secret, and not between it and its name."""
    cut = len(data) - _WHOLE_LINE_BYTES // 2
    for begin, end in _spans(data.decode(_LATIN)):
        if begin - _NAME_BYTES < cut < end:
            return max(0, begin - _NAME_BYTES)
    return cut


def _masked_piece(data: bytes) -> bytes:
    text = data.decode(_LATIN)
    return _replaced(text, _spans(text), same_length=False).encode(_LATIN)


def _spans(text: str) -> List[Tuple[int, int]]:
    """Where the secrets are, in order, without overlaps."""
    found = sorted([*secret_shapes.spans(text), *secret_values.spans(text)])
    merged: List[Tuple[int, int]] = []
    for begin, end in found:
        if merged and begin < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _replaced(text: str, spans: List[Tuple[int, int]], *, same_length: bool) -> str:
    if not spans:
        return text
    parts, at = [], 0
    for begin, end in spans:
        parts += [text[at:begin], "*" * (end - begin) if same_length else MASK]
        at = end
    return "".join([*parts, text[at:]])
