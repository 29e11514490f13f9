"""Secrets in what programs print: replaced by as many asterisks, so that offsets in a log stay what they are."""

from __future__ import annotations

import re
from typing import Match

# User names and passwords of URLs (the user of an ssh one is none: `git`), tokens that are known by their beginning,
# and what an HTTP client prints of its headers.
_PATTERN = (
    r"(?:(?<!ssh)://|ssh://[^\s/@:]{0,100}:)(?P<userinfo>[^\s/@\"'<>]{1,500})(?=@)"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|hf_)(?P<token>[A-Za-z0-9_-]{16,200})"
    r"|[Aa]uthorization: *(?:[Bb]asic|[Bb]earer|token) +(?P<header>[^\s\"']{4,500})"
)
_IN_TEXT = re.compile(_PATTERN)
_IN_BYTES = re.compile(_PATTERN.encode("ascii"))


def masked(text: str) -> str:
    """`text` without the secrets that can be told by their form; of the same length."""
    return _IN_TEXT.sub(_stars, text)


def masked_bytes(raw: bytes) -> bytes:
    """As `masked`."""
    return _IN_BYTES.sub(_stars_of_bytes, raw)


def _stars(found: Match[str]) -> str:
    whole, secret = found.group(), str(found[str(found.lastgroup)])
    return whole[: len(whole) - len(secret)] + "*" * len(secret)


def _stars_of_bytes(found: Match[bytes]) -> bytes:
    whole, secret = found.group(), bytes(found[str(found.lastgroup)])
    return whole[: len(whole) - len(secret)] + b"*" * len(secret)
