"""What people paste where an address is asked for, down to one line without what surrounds the address in it."""

from __future__ import annotations

import re
import unicodedata
from typing import List

from app.protocol.redaction import masked
from app.protocol.repo_url import BadRepoUrl

MAX_CHARS = 2000
OPENING = "\"'`\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb<([{*|,;"
CLOSING = "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb>)]}*|,;\u3002\u3001"
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|git@|(?:www\.)?(?:github|gitlab)\.com[/:])[^\s]+\Z", re.IGNORECASE)
_BULLET = re.compile(
    r"(?:(?:[-+*\u2013\u2014]|\d{1,3}[.)])(?=\s)|[\u2022\u00b7]|\$|>+|%|!(?!\[)|#(?=\s*git\s)|(?:RUN|sudo)(?=\s)"
    r"|[A-Za-z][\w ]{0,20}\s*(?::(?=\s)|=)(?=\s*[\"'<]?(?:https?://|git@|git\+)))\s*"
)
_PICTURE = re.compile(r"!\[[^\[\]]*\]\([^()]*\)")
_LINK = re.compile(r"\]\(\s*<?([^\s<>()]+)(?![^\s<>()])>?[^()]*\)")
_ANCHOR = re.compile(r"<a\s[^<>]*?href\s*=\s*[\"']?([^\s\"'>]+)", re.IGNORECASE)
_COMMENT = re.compile(r"\s*#(?!\s*git\s)")
_ENCODED = re.compile(r"(?:%20|%0[ad9]|%c2%a0|%e2%80%8b)+\Z", re.IGNORECASE)


def quoted(text: str) -> str:
    """`text` as a message may show it: short, on one line, without secrets."""
    text = text[:MAX_CHARS]  # far more than is shown: what hides secrets looks ahead
    hidden = re.sub(r"//[^/\s]*@|[^\s/:@\"']{1,200}:[^\s/@]{1,200}@", "***@", masked(text))
    hidden = re.sub(r"(?i)((?:token|key|secret|passw)[^=\s]{0,20}=)[^&\s]+", r"\1***", hidden)
    return ascii(hidden[:80]) if not hidden.isprintable() else repr(hidden[:80])


def is_address(word: str) -> bool:
    """Whether a word can be nothing but an address."""
    return _ADDRESS.match(word.lstrip(OPENING)) is not None


def stripped(word: str) -> str:
    """A word without quotes, brackets and the marks between the entries of a list."""
    return _ENCODED.sub("", word.lstrip(OPENING).rstrip(CLOSING))


def split_pasted(text: str) -> List[str]:
    """The addresses of a text with one or several of them: by lines, and on a line by commas or spaces where each
    piece is an address by itself. Without empty lines and comments."""
    found: List[str] = []
    for line in _joined(text).splitlines():
        if not line.strip() or _COMMENT.match(line):
            continue
        pieces = [piece for piece in re.split(r"[\s,;]+", line) if piece.strip(OPENING + CLOSING)]
        found += pieces if len(pieces) > 1 and all(map(is_address, pieces)) else [line.strip()]
    return found


def one_line(text: object) -> str:
    """The line that a text holds, without quotes, bullets, prompts and links around it. Raises BadRepoUrl."""
    line = _visible(text)
    if line.startswith(("{", "[{", '["')):
        raise BadRepoUrl("This is JSON, not the address of a repository. A list in JSON is given as a file.")
    for _ in range(8):
        shorter = _unwrapped(line)
        if shorter == line:
            break
        line = shorter
    if not line:
        raise BadRepoUrl("A repository URL is missing.")
    return line


def machine(text: str) -> BadRepoUrl:
    """The error for the SSH address of an instance."""
    message = "%s is the SSH address of a machine, not of a repository. It goes into the field of the machine."
    return BadRepoUrl(message % quoted(text))


def several(text: str) -> BadRepoUrl:
    """The error for more than one repository where one is asked for."""
    return BadRepoUrl("There are several addresses in %s. Put one on a line." % quoted(text))


def _joined(text: str) -> str:
    """With the lines joined that a backslash continues."""
    return text.replace("\\\r\n", " ").replace("\\\n", " ")


def _visible(text: object) -> str:
    """One line without characters that nobody sees."""
    if not isinstance(text, str) or not text.strip():
        raise BadRepoUrl("A repository URL is missing.")
    if len(text) > MAX_CHARS:
        raise BadRepoUrl("A repository URL is longer than %d characters." % MAX_CHARS)
    return "".join(_shown_as(character, text) for character in _joined(text).strip()).strip()


def _shown_as(character: str, text: str) -> str:
    """A character as a person reads it. Raises BadRepoUrl for one that breaks the line."""
    kind = unicodedata.category(character)
    if kind == "Cf" or "\ufe00" <= character <= "\ufe0f":
        return ""
    if kind == "Zs" or character == "\t":
        return " "
    if "\uff01" <= character <= "\uff5e":  # as Chinese and Japanese keyboards write ASCII
        return chr(ord(character) - 0xFEE0)
    if kind.startswith("C") or kind in ("Zl", "Zp"):
        raise BadRepoUrl("The repository URL %s has a line break or control character in it." % quoted(text))
    return character


def _unwrapped(line: str) -> str:
    """With one layer less of what surrounds an address."""
    line = line.strip()
    for pattern in (_LINK, _ANCHOR):
        found = set(pattern.findall(_PICTURE.sub("", line)))
        if len(found) > 1:
            raise several(line)
        if found:
            return str(found.pop())
    bullet = _BULLET.match(line)
    if bullet and bullet.end() < len(line) and not line.startswith("--"):
        return line[bullet.end() :]
    if " " in line:  # a command's own quotes stay
        enclosed = line[0] in OPENING and line[-1] in CLOSING
        return line[1:-1] if enclosed else line.rstrip(",;|\\").strip()
    return stripped(line)
