"""The words of a line of ssh_config(5), and what stands for something else in them: `~`, `%h` and `${NAME}`. Pure."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping

_KEYWORD = re.compile(r'\s*"?([^\s"=]+)"?\s*(?:=\s*)?(.*)\Z', re.DOTALL)
_TOKEN = re.compile(r"%(.)", re.DOTALL)
_NOT_WRITTEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""What nobody writes into a value: control characters, and marks that turn the direction of writing or are unseen."""
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def without_home(text: str, home: str) -> str:
    """`text` with `~` for the home folder, as a message names files there: it is also read by those who may only look,
    and a home folder has a person's name."""
    return text.replace(home.rstrip("/") + "/", "~/") if len(home) > 1 else text


def split_line(line: str) -> tuple[str, list[str]]:
    """The keyword of a line, in lower case, and its arguments; an empty keyword for a comment or an empty line.

    Raises ValueError for a quotation mark that is not closed.
    """
    line = line.strip()
    match = _KEYWORD.match(line)
    if not match or line.startswith("#"):
        return "", []
    return match[1].lower(), split_arguments(match[2])


def split_arguments(text: str) -> list[str]:
    """Words in double or single quotation marks or without, as ssh splits them; a word that begins with `#` ends the
    line. Raises ValueError for a quotation mark that is not closed."""
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
            continue
        if text[at] == "#":
            break
        word, at = _next_word(text, at)
        words.append(word)
    return words


def _next_word(text: str, at: int) -> tuple[str, int]:
    """The word that begins at `at`, and where it ends."""
    word: list[str] = []
    quote = ""
    while at < len(text):
        character = text[at]
        next_character = text[at + 1 : at + 2]
        if (
            character == "\\"
            and (next_character in ("'", '"', "\\") or (not quote and next_character == " "))
            and next_character
        ):
            word.append(next_character)
            at += 1
        elif not quote and character in " \t":
            break
        elif not quote and character in "'\"":
            quote = character
        elif quote and character == quote:
            quote = ""
        else:
            word.append(character)
        at += 1
    if quote:
        raise ValueError("a quotation mark is not closed")
    return "".join(word), at


def check_written(words: Iterable[str]) -> None:
    """Raises ValueError where one of the words has a character that is never shown: it is no name and no path."""
    if any(map(_NOT_WRITTEN.search, words)):
        raise ValueError("it has a character that cannot be printed")


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether `name` fits one of `patterns` (`*` and `?`) and none of those with `!` before them."""
    found = False
    for pattern in patterns:
        if fnmatch.fnmatchcase(name, pattern.removeprefix("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def expand(text: str, *, home: str, tokens: Mapping[str, str], environ: Mapping[str, str] | None = None) -> str:
    """`text` with `~`, `%x` and, where there is an `environ`, `${NAME}` replaced.

    Raises ValueError for a token or a variable that is not known.
    """
    if environ is not None:
        known = environ

        def value_of(match: re.Match[str]) -> str:
            if match[1] not in known:
                raise ValueError(f"the variable {match[1]} is not set")
            return known[match[1]]

        text = _VARIABLE.sub(value_of, text)

    def token(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        if match[1] not in tokens:
            raise ValueError(f"%{match[1]} is not known there")
        return tokens[match[1]]

    text = _TOKEN.sub(token, text)
    if text == "~" or text.startswith("~/"):
        return home + text[1:]
    return os.path.expanduser(text) if text.startswith("~") else text
