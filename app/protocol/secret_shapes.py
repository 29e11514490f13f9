"""Secrets that are known by how they look. Used by `redaction` alone.

Each shape has words that every text with such a secret has; most texts have none of them, and are not looked at.
Nothing that a shape finds has a quotation mark in it, or half of an escape: JSON stays JSON. What people read every day
stays: `git@host:path`, `ssh://git@host`, `name @ file:///path`, versions behind an `@`, hashes, ports.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from typing import Callable, Iterator, List, Match, NamedTuple, Optional, Pattern, Tuple

Span = Tuple[int, int]

_NAME = (
    r"(?:token|secret|passw(?:or)?d|passwd|passphrase|pwd|api[-_]?key|access[-_]?key|private[-_]?key|secret[-_]?key"
    r"|auth[-_]?key|signing[-_]?key|encryption[-_]?key|account[-_]?key|sshpass|(?<![a-z])pass(?==)|credentials?)"
)
_FIELD = (
    r"(?:[\w.%-]{0,100}" + _NAME + r"|(?:[\w-]{0,40}[-_])?"
    r"(?:signature|sig|auth|authorization|key|sid|jwt|session(?:id)?))"
)
_EQUALS = r"(?:=|%3d|\\{1,4}u003d|&#x3d;|&#61;)"
_QUOTE = r"(?:[\"'\\]|&quot;|&#34;|&#39;|&#x27;|%22|%27)"
_SIGN = r"(?:[\"'\\]{1,9}\s{0,3}[:=]\s{0,3}[\"'\\]{1,9}|\s{0,3}[:=]\s{0,3}[\"'\\]{0,9})"
_LONGEST_NAME = 100
_DIGIT = re.compile(r"\d")
_OTHER_CASES = re.compile("[\u0130\u0131\u017f\u212a]")
"""What is an i, s or k where case does not count, and in lower case another letter."""
_CODE = re.compile(r"[(\[{<]|\s{0,3}[=:]")
_NOTHING = ("True", "False", "None", "true", "false", "null")
_WORDS = re.compile(r"[a-z_.-]+")
_SECRET_NAME = re.compile(
    r"(?:.*[-_.])?(?:" + _NAME + r"|pass|key)|.*(?:token|secret|password|passwd|apikey)", re.IGNORECASE
)
_NO_SECRET_NAME = re.compile(r"(?:old)?pwd|(?:.*_)?(?:public|gpg|host|ssh)_?key", re.IGNORECASE)
_BY_BEGINNING = (
    r"(?<![A-Za-z0-9])(?:"
    r"(?:gh[pousr]_|npm_|r8_|rpa_|hf_|xai-|gsk_)(?P<a>[A-Za-z0-9]{16,255})"
    r"|(?:ndf_|github_pat_|gl(?:pat|dt|rt)-|dckr_pat_|sk-(?:proj|ant|or|live)-|xox[abeprs]-)(?P<b>[\w-]{16,255})"
    r"|(?:sk-)(?P<c>[A-Za-z0-9]{20,255})|pypi-(?P<d>[\w-]{40,500})|AIza(?P<e>[\w-]{35})"
    r"|(?:AKIA|ASIA)(?P<f>[0-9A-Z]{16})|(?<![\w-])eyJ(?P<g>[\w-]{10,300}\.eyJ[\w-]{10,3000}\.[\w-]{10,600}))"
)
_BEGINNINGS = (
    "ghp_ gho_ ghu_ ghs_ ghr_ npm_ r8_ rpa_ hf_ xai- gsk_ ndf_ _pat_ glpat- gldt- glrt- sk- xox pypi- "
    "aiza akia asia eyj"
)


class _Shape(NamedTuple):
    """`words`: of which a text has one, in lower case; `pattern`: its group that matched is the secret, where
    `is_secret` says so; `reach`: how many characters before one of its words a match begins at most, where that is
    few: long texts are looked at only there."""

    words: Tuple[str, ...]
    pattern: str
    is_secret: Callable[[Match[str]], bool] = lambda _found: True
    reach: Optional[int] = None


def _of(found: Match[str]) -> str:
    return found[str(found.lastgroup)]


def _is_mixed(found: Match[str]) -> bool:
    return _DIGIT.search(_of(found)) is not None


def _is_login(found: Match[str]) -> bool:
    """A user alone may be a token; that of ssh is none, and `git` neither."""
    user, colon, _ = _of(found).partition(":")
    if not any(map(str.isalnum, _of(found))):
        return False  # `…`
    return bool(colon) or not (user == "git" or found.string[max(0, found.start() - 3) : found.start()].endswith("ssh"))


def _is_value(found: Match[str]) -> bool:
    """What stands behind a name is a value, and no code, no path, no address, no placeholder."""
    value, name = _of(found).strip("`"), found["name"].lower()
    if found["close"].strip("\\") and not found["quote"]:
        return False  # a number in JSON
    is_code = _CODE.match(found.string, found.end()) is not None
    if is_code or value in _NOTHING or value.startswith(("/", "~/", "./", "http:", "https:", "file:")):
        return False
    if name != "pass" and ("pass" in name or "pwd" in name):
        return bool(found["quote"]) or "=" in found["sign"] or not _WORDS.fullmatch(value.lower())
    return len(value) >= 8 and (_is_mixed(found) or (bool(found["quote"]) and len(value) >= 16))


_LOGIN = (
    r"(?::(?:\\{0,4}/){2}|(?<![\w:/*])//(?=[^\s/@:]{1,100}:[^\s/@]{1,200}@))"
    r"(?:(?P<login>[^\s/\"'<>\\?#]{1,500})@[^\s/@]"
    r"|(?P<odd>[^\s/@:\"'<>\\\[]{1,100}:(?!\d{1,5}[/?#])[^\s@\"'<>\\]{1,200})@[A-Za-z0-9\[]"
    r"|(?P<cut>[^\s/@:\"'<>\\\[]{1,100}:(?!\d{1,5}(?!\w)|port(?!\w)|(?-i:[A-Z_]+)(?!\w))[^\s/@\"'<>\\]{6,200})(?![^\s\"'<>\\]))"
)
_CODED_LOGIN = r"%(?:25)?3a(?:%(?:25)?2f){2}(?P<coded>[^\s/%\"'<>\\]{1,200}%(?:25)?3a[^\s/\"'<>\\]{1,300}?)%(?:25)?40"
_BARE_LOGIN = r"(?<![\w.@/:-])[\w.-]{1,60}:(?P<bare>[^\s/@:\"'<>\\,;=]{6,200})@(?!sha\d)[\w.-]{1,200}:\d{2,5}(?!\w)"
"""As proxies are given: without `http://`."""
_PLACEHOLDER = r"(?!(?-i:\$?\{?[A-Z_]{1,40}\}?)(?!\w))"
_HEADER = (
    r"(?:authorization" + _SIGN + r"(?:(?:basic|bearer|token|digest)(?:\s|%20|\+){1,9}|(?=[\w+/=.-]{16}))"
    r"|\bbearer(?:\s|%20|\+){1,9}(?=[\w.~+/-]{0,200}\d))" + _PLACEHOLDER + r"(?P<header>[^\s\"'\\<>,;]{4,4000})"
)
_ASSIGNED = (
    r"(?P<name>" + _NAME + r")(?P<close>" + _QUOTE + r"{0,9})\s{0,5}(?P<sign>=>|:|" + _EQUALS + r")\s{0,5}"
    r"(?P<quote>" + _QUOTE + r"{0,9})"
    r"(?P<value>[^\s\"'<>\\,;(){}\[\]&$]{4,600})"
)
_FLAG = (
    r"(?:(?<![\w-])--[\w-]{0,40}(?:token|passw(?:or)?d|passwd|passphrase|sshpass|secret|(?:api|access)-?key)\s+"
    r"|\bsshpass\s+-p\s*|(?<![\w-])(?:-u|--(?:proxy-)?user)\s{0,3}[\"']?[\w.-]{1,60}:(?!\d+(?!\w)))[\"'\\]{0,2}"
    r"(?P<flag>[^\s\"'<>\\-][^\s\"'<>\\]{3,500})"
)
_SAID = (
    r"(?:token|secret|password|passphrase|api[-_ ]?key)(?:\s+is)?:?\s{1,3}[\"'`]?(?!sha\d)"
    r"(?P<said>(?-i:(?=[\w+/=-]{0,99}\d)(?=[\w+/=-]{0,99}[a-z])(?=[\w+/=-]{0,99}[A-Z]))[A-Za-z0-9][\w+/=-]{15,300})(?![\w.:/])"
)
_NETRC = r"\blogin\s+[^\s\"'<>\\]{1,200}\s+password\s+(?P<netrc>[^\s\"'<>\\]{4,300})"
_SHAPES = (
    _Shape(("//", "\\/"), _LOGIN, _is_login, 10),
    _Shape(("%40", "%2540"), _CODED_LOGIN),
    _Shape(("@",), _BARE_LOGIN, _is_mixed, 270),
    _Shape(tuple(_BEGINNINGS.split()), _BY_BEGINNING, _is_mixed),
    _Shape(("authorization", "bearer"), _HEADER),
    _Shape(("cookie",), r"cookie" + _SIGN + r"(?P<cookie>[^\s=;,\"'\\]{1,200}=[^\"'\\\r\n]{4,4000})"),
    _Shape(("nodeferry",), r"(?:/nodeferry-open/|nodeferry-session-\d{1,5}=|_tunnel_\d{1,5}=)(?P<own>[\w-]{16,200})"),
    _Shape(("=",), r"[?&#;](?P<name>" + _FIELD + r")=(?P<field>[^\s&#;\"'<>\\,)\]}]{4,4000})"),
    _Shape(("token", "secret", "pass", "pwd", "key", "credential"), _ASSIGNED, _is_value, 14),
    _Shape(("token", "secret", "pass", "key"), _SAID, reach=6),
    _Shape(("password",), _NETRC),
    _Shape(("--", "sshpass", "-u"), _FLAG, lambda found: "sshpass" in found[0].lower() or _is_mixed(found), 2),
    _Shape(
        ("private key-----",),
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:\s|\\[nr]){1,4}(?P<pem>[\w+/=:,-](?:[\w+/=\s:,]|\\[nr]){15,20000})",
    ),
)
_WORDS_OF_ALL = frozenset(word for shape in _SHAPES for word in shape.words)


def spans(text: str) -> Iterator[Span]:
    """Where the secrets of `text` are."""
    lowered = text.lower()
    is_plain = text.isascii() or (len(lowered) == len(text) and _OTHER_CASES.search(text) is None)
    words = {word for word in _WORDS_OF_ALL if word in lowered}
    for number, shape in enumerate(_SHAPES):
        if not words.isdisjoint(shape.words):
            starts = _starts(shape, lowered) if is_plain else None
            yield from _spans(_finder(_compiled(number), text, starts), shape)


def _starts(shape: _Shape, lowered: str) -> Optional[List[Span]]:
    """Where a match may begin, in order; None where looking at the whole text costs no more."""
    if shape.reach is None:
        return None
    starts: List[Span] = []
    left = len(lowered) // 4
    for at in sorted({found for word in shape.words for found in _all(lowered, word)}):
        begin = max(at - shape.reach, starts[-1][1] if starts else 0)
        left -= at + 1 - begin
        if left < 0:
            return None
        starts.append((begin, at + 1))
    return starts


def _all(text: str, word: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def _finder(pattern: Pattern[str], text: str, starts: Optional[List[Span]]) -> Callable[[int], Optional[Match[str]]]:
    """Finds the first match that begins at a place or behind it."""
    if starts is None:
        return lambda since: pattern.search(text, since)
    ends = [end for _, end in starts]

    def find(since: int) -> Optional[Match[str]]:
        for number in range(bisect_right(ends, since), len(starts)):
            begin, end = starts[number]
            for at in range(max(begin, since), end):
                found = pattern.match(text, at)
                if found:
                    return found
        return None

    return find


def _spans(find: Callable[[int], Optional[Match[str]]], shape: _Shape) -> Iterator[Span]:
    found = find(0)
    while found:
        begin, end = found.span(str(found.lastgroup))
        is_secret = bool(_of(found).strip("*")) and shape.is_secret(found)
        if is_secret:
            yield begin, end
        is_over = is_secret or end - begin > _LONGEST_NAME
        found = find(end if is_over else begin)  # what is none may be another one's name


def is_secret_name(name: str) -> bool:
    """Whether what has this name (a variable, a field of JSON) is a secret."""
    return _SECRET_NAME.fullmatch(name) is not None and _NO_SECRET_NAME.fullmatch(name) is None


@lru_cache(None)
def _compiled(number: int) -> Pattern[str]:
    return re.compile(_SHAPES[number].pattern, re.IGNORECASE)
