"""Smaller answers for whoever takes them so: gzip, by `Accept-Encoding`.

What must not be transformed (`no-transform`) is not: streams, whose events would be held back, and answers that bring
a secret to whom it belongs, since the length of a compressed answer tells what is in it to who can add to it.
"""

from __future__ import annotations

import gzip
import re
from functools import lru_cache

from flask import Response

LEAST_BYTES = 1000
"""Less goes in one packet, compressed or not."""
MOST_BYTES = 8 * 1024 * 1024
LARGE_BYTES = 256 * 1024
"""More is compressed at the cheapest level."""
_LEVEL, _LEVEL_OF_LARGE = 6, 1
_TYPES = frozenset({"application/json", "text/html", "text/plain", "text/css", "text/javascript", "image/svg+xml"})
_WITHOUT_ALL = frozenset({206, 304})
_ENTRY = re.compile(r"\s*([\w!#$%&'*+.^`|~-]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?", re.ASCII)
_ENCODINGS_IN_A_HEADER = 20


def compress(response: Response, accepted: str) -> None:
    """Compresses an answer where that may be and pays. `accepted`: the request's `Accept-Encoding`."""
    if response.mimetype not in _TYPES or response.is_streamed or response.cache_control.no_transform:
        return
    if response.status_code == 204:
        return
    response.vary.add("Accept-Encoding")
    length = response.calculate_content_length() or 0
    if response.status_code in _WITHOUT_ALL or "Content-Encoding" in response.headers or not pays(length, accepted):
        return
    level = _LEVEL if length <= LARGE_BYTES else _LEVEL_OF_LARGE
    smaller = gzip.compress(response.get_data(), level, mtime=0)
    if len(smaller) >= length:
        return
    response.set_data(smaller)
    response.headers["Content-Encoding"] = "gzip"
    tag, _ = response.get_etag()
    if tag is not None:  # the same content in other bytes
        response.set_etag(tag, weak=True)


def pays(length: int, accepted: str) -> bool:
    """Whether an answer of so many bytes is to be compressed for who sent this `Accept-Encoding`."""
    return LEAST_BYTES <= length <= MOST_BYTES and chosen(accepted, ("gzip",)) is not None


@lru_cache(64)
def chosen(accepted: str, offered: tuple[str, ...]) -> str | None:
    """Which of the `offered` encodings (the best first) an answer may have by its request's `Accept-Encoding`; None
    for none, also where the header cannot be understood (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for entry in accepted.split(",", _ENCODINGS_IN_A_HEADER)[:_ENCODINGS_IN_A_HEADER]:
        found = _ENTRY.fullmatch(entry)
        if found is not None:
            name = found[1].lower().removeprefix("x-")
            weights.setdefault(name, float(found[2] or 1))
    rest = weights.get("*", 0.0)
    identity = weights.get("identity", 0.0)
    usable = [(weights.get(name, rest), -place, name) for place, name in enumerate(offered)]
    weight, _, name = max(usable)
    return name if weight > 0 and weight >= identity else None
