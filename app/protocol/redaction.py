"""Hides secrets in what programs print. Each is replaced by as many asterisks, so that offsets in a log stay valid."""

from __future__ import annotations

import re
from typing import AnyStr, Match

# User names and passwords of URLs (the user of an ssh one is none: `git`), tokens that are known by their beginning,
# and what an HTTP client prints of its headers.
_PATTERN = (
    r"(?:(?<!ssh)://|ssh://[^\s/@:]{0,100}:)(?P<userinfo>[^\s/@\"'<>]{1,500})(?=@)"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|hf_|ndf_)(?P<token>[A-Za-z0-9_-]{16,200})"
    r"|[Aa]uthorization: *(?:[Bb]asic|[Bb]earer|token) +(?P<header>[^\s\"']{4,500})"
)
_IN_TEXT = re.compile(_PATTERN)
_IN_BYTES = re.compile(_PATTERN.encode("ascii"))


def masked(text: str) -> str:
    """`text` without the secrets that have a known form. The length stays the same."""
    return _IN_TEXT.sub(lambda found: _starred(found, "*"), text)


def masked_bytes(raw: bytes) -> bytes:
    """As `masked`, for bytes."""
    return _IN_BYTES.sub(lambda found: _starred(found, b"*"), raw)


def _starred(found: Match[AnyStr], star: AnyStr) -> AnyStr:
    whole, secret = found.group(), found[str(found.lastgroup)]
    return whole[: len(whole) - len(secret)] + star * len(secret)
