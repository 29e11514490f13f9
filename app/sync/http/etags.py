"""Answers that a client has already: 304 for what did not change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, request

from app.sync.http.services import answer


def answer_if_changed(payload: Mapping[str, Any], counted: Mapping[str, Any] | None = None) -> Response:
    """`payload` with an ETag; 304 without a body where the client has exactly that (`If-None-Match`). `counted`: what
    counts as a change, instead of all of it."""
    response = answer(payload)
    text = response.get_data() if counted is None else json.dumps(counted, sort_keys=True).encode("utf-8")
    response.set_etag(hashlib.sha256(text).hexdigest()[:32])
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    if response.status_code == HTTPStatus.NOT_MODIFIED:
        response.set_data(b"")
    return response
