"""Texts from elsewhere, cut and made harmless: what a terminal or a browser would obey is taken out.

That is: terminals' escape sequences, control characters, marks that turn the direction of writing or hide text, halves
of surrogate pairs. A text that has none of these is not changed, whatever language it is in."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)?"  # OSC: titles, links, the clipboard
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]{0,4096}(?:\x1b\\|\x9c)?"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, the cursor
    r"|\x1b[ -/]*[0-~]?"
)
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def clean_line(text: str, most: int) -> str:
    """At most `most` characters of `text`, as one line."""
    if len(text) <= most and text.isprintable():
        return text
    return _cleaned(text, most, "")


def clean_block(text: str, most: int) -> str:
    """At most `most` characters of `text`, with its line breaks."""
    if len(text) <= most and text.isprintable():
        return text
    return _cleaned(text, most, "\n")


def _cleaned(text: str, most: int, kept: str) -> str:
    # Somewhat more than is kept is looked at: escape sequences take room, and whoever sends more has nothing to say.
    text = _ESCAPES.sub("", text[: most + 4096]).replace("\r\n", "\n")[:most]
    return _HARMFUL.sub(lambda found: found[0] if found[0] == kept else _in_place_of(found[0]), text)


def _in_place_of(letter: str) -> str:
    if letter.isspace():
        return " "
    return "\ufffd" if "\ud800" <= letter <= "\udfff" else ""
