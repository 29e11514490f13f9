"""What requests for the logs of a task may ask."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.sync.http import bodies
from app.sync.http.body_types import NEEDED

MAX_SEARCH_CHARS = 200


class LogQuery(bodies.Query):
    """GET /tasks/ID/log. `offset` and `limit` in bytes; `line` and `before` are numbers of lines, and go before it."""

    log: Annotated[str, Field(min_length=1, max_length=bodies.MAX_FIELD_CHARS)] = "run"
    node: Annotated[str, Field(min_length=1, max_length=bodies.MAX_FIELD_CHARS)] | None = None
    offset: Annotated[int, Field(ge=0, le=2**53)] = 0
    limit: Annotated[int, Field(ge=16, le=1024 * 1024)] = 256 * 1024
    line: Annotated[int, Field(ge=1, le=2**53)] | None = None
    before: Annotated[int, Field(ge=1, le=2**53)] | None = None
    deciding: bool = False
    format: Literal["json", "text"] = "json"


class LogSearchQuery(bodies.Query):
    """GET /tasks/ID/log/search. `limit` in lines; without `log` and `node` all logs are searched."""

    q: Annotated[str, Field(max_length=MAX_SEARCH_CHARS), NEEDED] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 200
    log: Annotated[str, Field(min_length=1, max_length=bodies.MAX_FIELD_CHARS)] | None = None
    node: Annotated[str, Field(min_length=1, max_length=bodies.MAX_FIELD_CHARS)] | None = None


class AuditQuery(bodies.Query):
    """GET /tasks/ID/audit. `offset` and `limit` in commands."""

    offset: Annotated[int, Field(ge=0, le=2**53)] = 0
    limit: Annotated[int, Field(ge=1, le=5000)] = 1000
