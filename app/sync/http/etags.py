"""Answers that a client has already: 304 for what did not change."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, request

from app.sync.http.services import answer


def answer_if_changed(payload: Mapping[str, Any]) -> Response:
    """`payload` with an ETag; 304 without a body where the client has exactly that (`If-None-Match`)."""
    response = answer(payload)
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    if response.status_code == HTTPStatus.NOT_MODIFIED:
        response.set_data(b"")
    return response
