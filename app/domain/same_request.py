"""Whether two requests ask for the same: an idempotency key that comes again must come with the request that it had."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.domain.stored_request import read_request, store_request


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two stored requests ask for the same. One that an earlier version has stored is read first: what it did
    not know has its default. The keys themselves are not compared."""
    return _canonical(one) == _canonical(other)


def _canonical(stored: Mapping[str, Any]) -> str:
    try:
        stored = store_request(read_request(stored))
    except (AttributeError, KeyError, TypeError, ValueError):
        stored = dict(stored)  # a record that cannot be read is the same as itself only
    return json.dumps({**stored, "idempotency_key": None}, sort_keys=True)
