"""A shell script as text: its arrays, plain variables and commands. Nothing of it is ever run; what only running could
tell is told apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Optional, Tuple

from app.protocol.manifest import ManifestFault
from app.protocol.other_files.variables import expanded

MOST_WORDS = 10_000
MOST_ARRAYS = 500
_ARRAY = re.compile(
    r"^[ \t]*(?:(?:declare|local|export|readonly|typeset)[ \t]+(?:-\w+[ \t]+)*)?([A-Za-z_]\w*)(\+?)=\(", re.MULTILINE
)
_SCALAR = re.compile(
    r"""^[ \t]*(?:-e[ \t]+)?(?:export[ \t]+)?([A-Za-z_]\w*)=("[^"\n]*"|'[^'\n]*'|[^\s"'()#;&|]*)[ \t]*(?:$|[;#])""",
    re.MULTILINE,
)
_HERE = re.compile(r"(?<!<)<<-?[ \t]*(['\"]?)([A-Za-z_]\w*)\1")
_RUN = ("$(", "<(", ">(")
_ESCAPED = '"\\$`\n'


@dataclass(frozen=True)
class Word:
    """One word of an array. `text` is None where only running the script could tell it; `raw` is as it stands there."""

    text: Optional[str]
    raw: str
    line: int


@dataclass
class Script:
    """`arrays`: the words of each, `+=` added; `scalars`: plain variables. `text` is without here-documents."""

    text: str
    arrays: Dict[str, List[Word]] = field(default_factory=dict)
    scalars: Dict[str, str] = field(default_factory=dict)


def read_script(text: str, where: str) -> Script:
    """The script's arrays and variables. Raises ManifestFault naming the line."""
    text = _without_here_documents(text.replace("\r\n", "\n").replace("\r", "\n"))
    script = Script(text)
    for found in _SCALAR.finditer(text):
        value = _scalar(found.group(2), script.scalars)
        if value is not None and len(script.scalars) < MOST_ARRAYS:
            script.scalars[found.group(1)] = value
    end, count = 0, 0
    for number, opened in enumerate(_ARRAY.finditer(text)):
        if opened.start() < end:
            continue
        if number >= MOST_ARRAYS:
            raise ManifestFault(where, "The script has more than %d arrays." % MOST_ARRAYS)
        name, is_added = opened.group(1), bool(opened.group(2))
        words, end = _Reader(text, opened.end(), script.scalars).array(where, name)
        count += len(words)
        if count > MOST_WORDS:
            raise ManifestFault(where, "The script's arrays have more than %d entries." % MOST_WORDS)
        known = script.arrays.get(name, []) if is_added or words else []
        script.arrays[name] = [*known, *words]  # assigned twice: by branches, so that both may hold
    return script


def commands(script: Script) -> Iterator[Tuple[int, str]]:
    """Each line with its number, those that go on in the next one joined; comments left out."""
    number, whole = 0, ""
    for at, line in enumerate(script.text.split("\n"), 1):
        number = number if whole else at
        if line.endswith("\\") and len(whole) < 8000:
            whole += line[:-1] + " "
            continue
        if not (whole + line).lstrip().startswith("#"):
            yield number, whole + line
        whole = ""


def _scalar(raw: str, known: Dict[str, str]) -> Optional[str]:
    if raw[:1] == "'":
        return raw[1:-1]
    return expanded(raw[1:-1] if raw[:1] == '"' else raw, known)


def _without_here_documents(text: str) -> str:
    """With empty lines in place of the texts that `<<` gives to commands."""
    lines: List[str] = []
    ends: List[str] = []
    for line in text.split("\n"):
        if ends:
            if line.strip() == ends[0]:
                ends.pop(0)
            lines.append("")
            continue
        if not line.lstrip().startswith("#"):
            ends = [found.group(2) for found in _HERE.finditer(line)]
        lines.append(line)
    return text if ends else "\n".join(lines)  # one that never ends was none


class _Reader:
    """Reads the words of one array, from behind its bracket to the one that closes it."""

    def __init__(self, text: str, start: int, known: Dict[str, str]) -> None:
        self._text = text
        self._at = start
        self._known = known
        self._line = text.count("\n", 0, start) + 1

    def array(self, where: str, name: str) -> Tuple[List[Word], int]:
        """The words, and where the text goes on. Raises ManifestFault for an array without an end."""
        first = self._line
        words: List[Word] = []
        while True:
            self._skip_blanks()
            if self._at >= len(self._text):
                text = "Line %d: the array %s=( is never closed. Add the missing ) or quote."
                raise ManifestFault(where, text % (first, name))
            if self._text[self._at] == ")":
                return words, self._at + 1
            words.append(self._word())
            if len(words) > MOST_WORDS:
                raise ManifestFault(where, "Line %d: the array has more than %d entries." % (first, MOST_WORDS))

    def _skip_blanks(self) -> None:
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif letter == "\\" and self._text[self._at : self._at + 2] == "\\\n":
                self._forward(2)
            elif letter.isspace() or letter in ";&|":
                self._forward(1)
            else:
                return

    def _word(self) -> Word:
        """A word of quoted and bare parts, which follow each other without a blank."""
        start, line = self._at, self._line
        parts: List[Optional[str]] = []
        while self._at < len(self._text) and not self._text[self._at].isspace() and self._text[self._at] not in ");&|":
            letter = self._text[self._at]
            if letter == "'":
                parts.append(self._until("'"))
            elif letter == '"':
                parts.append(self._double_quoted())
            elif self._text.startswith(_RUN, self._at) or letter == "`":
                self._skip_command(letter)
                parts.append(None)
            else:
                parts.append(self._bare())
        raw = self._text[start : self._at][:300]
        known = [part for part in parts if part is not None]
        return Word("".join(known) if len(known) == len(parts) else None, raw, line)

    def _until(self, mark: str) -> str:
        end = self._text.find(mark, self._at + 1)
        end = len(self._text) if end < 0 else end
        inner = self._text[self._at + 1 : end]
        self._forward(end + 1 - self._at)
        return inner

    def _double_quoted(self) -> Optional[str]:
        start, at = self._at + 1, self._at + 1
        while at < len(self._text) and self._text[at] != '"':
            at += 2 if self._text[at] == "\\" else 1
        inner = self._text[start : min(at, len(self._text))]
        self._forward(min(at + 1, len(self._text)) - self._at)
        if "`" in inner or "$(" in inner:
            return None
        unescaped = re.sub(r"\\([%s])" % re.escape(_ESCAPED), lambda found: found.group(1).replace("$", "\0"), inner)
        value = expanded(unescaped, self._known)
        return None if value is None else value.replace("\0", "$")

    def _bare(self) -> Optional[str]:
        start = self._at
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter.isspace() or letter in "'\"`);&|" or self._text.startswith(_RUN, self._at):
                break
            self._forward(2 if letter == "\\" else 1)
        if self._at == start:
            self._forward(1)
        return expanded(self._text[start : self._at].replace("\\", ""), self._known)

    def _skip_command(self, letter: str) -> None:
        """Over `$(…)` or backticks; what is in them is not looked at."""
        if letter == "`":
            self._until("`")
            return
        self._forward(2)
        depth = 1
        while self._at < len(self._text) and depth:
            depth += {"(": 1, ")": -1}.get(self._text[self._at], 0)
            self._forward(1)

    def _forward(self, count: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at = min(len(self._text), self._at + count)
