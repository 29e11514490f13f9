"""The OpenAPI document: https://spec.openapis.org/oas/v3.1.0, from the routes there are and the table of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from app.domain.access import COOKIE
from app.storage.errors import StorageError
from app.sync.http import errors
from app.sync.http.guards import SAFE_METHODS, changes, is_open
from app.sync.http.spec import progress, runs, service, tasks, workflow_files
from app.sync.http.spec.routes import JSON, OPERATIONS, Operation, Reply
from app.sync.http.spec.schema import COUNT, TEXT, UUID, Schema, ref
from app.version import VERSION

_PARTS = (service, progress, tasks, runs, workflow_files)
SCHEMAS: Mapping[str, Schema] = {name: each for part in _PARTS for name, each in part.SCHEMAS.items()}
_REFS = "#/components/schemas/{model}"
_PLACE = re.compile(r"<(?:[a-z]+:)?([a-z_]+)>")
_ADDRESS: Schema = {"type": "string", "pattern": "^.+:[0-9]+$", "example": "ssh6.vast.ai:12345"}
_ERROR = {"success": False, "error": "", "message": "What happened, to what.", "hint": "What to do."}

_EVERY = (
    "malformed_request",
    "invalid_request",
    "host_not_allowed",
    "cross_site_request",
    "request_too_slow",
    "body_too_large",
    "too_many_connections",
    "head_too_large",
    "internal_error",
    "encoding_not_supported",
    "service_busy",
    "version_not_supported",
)
"""What any request can be answered: by the server, by the checks of a head, and for a bug."""
_BODY = ("malformed_json", "not_json")
_LOGIN = ("unauthorized", "too_many_attempts", "access_unavailable")
_STORED = tuple(errors.codes_of(StorageError))
_NOT_FOUND = "not_found"
PAGES = "Nodeferry-Pages"
"""A header that an answer may have, whatever it is."""

_OF_COMPRESSION = ("Vary", "Content-Encoding")

HEADERS: Mapping[str, Mapping[str, Any]] = {
    **{
        name: {"schema": TEXT if name == "Cache-Control" else {"const": value}, "example": value}
        for name, value in errors.HEADERS.items()
    },
    "Vary": {"schema": TEXT, "example": "Accept-Encoding"},
    "Content-Encoding": {"schema": {"const": "gzip"}, "description": "Where the request accepts that, and it pays."},
    "Retry-After": {"schema": COUNT, "example": 30, "description": "Seconds until it may be tried again."},
    "WWW-Authenticate": {"schema": TEXT, "example": errors.CHALLENGE},
    "Allow": {"schema": TEXT, "example": "GET, HEAD, OPTIONS", "description": "The methods of this address."},
    "Set-Cookie": {"schema": TEXT, "description": "The session's cookie; no script can read it."},
    "Content-Security-Policy": {"schema": TEXT, "description": "Of an error that is shown as a page."},
    "X-Accel-Buffering": {"schema": {"const": "no"}, "description": "Asks nginx to pass events on as they come."},
    "X-Log-Offset": {"schema": COUNT, "description": "`next_offset`."},
    "X-Log-Size": {"schema": COUNT},
    PAGES: {"schema": {"type": "string"}, "description": "The version of the pages that this service has now."},
    "ETag": {
        "schema": {"type": "string", "pattern": '^(W/)?"[0-9a-f]{32}"$'},
        "description": "Of exactly this answer.",
    },
    "X-Log-Complete": {"schema": {"enum": ["true", "false"]}},
    "X-Wheel-SHA256": {"schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "description": "Of the whole wheel."},
    "Content-Disposition": {"schema": TEXT, "example": 'attachment; filename="insightface-0.7.3-py3-none-any.whl"'},
}


@dataclass(frozen=True, slots=True)
class Route:
    """A route as it is registered. `rule` has its places in angle brackets."""

    method: str
    rule: str
    name: str
    about: str

    @property
    def key(self) -> str:
        """As the table of operations names it."""
        return f"{self.method} {self.rule}"

    @property
    def path(self) -> str:
        """As OpenAPI names it."""
        return _PLACE.sub(r"{\1}", self.rule)


def document(routes: Iterable[Route], *, needs_token: bool) -> dict[str, Any]:
    """The document of these routes."""
    models: dict[str, Any] = dict(SCHEMAS)
    other = _refusal(["method_not_allowed"], "POST")
    refusals = {"MethodNotAllowed": other | {"headers": other["headers"] | _headers(["Allow"])}}
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(routes, key=lambda each: (each.rule, each.method)):
        operation = _operation(route, models, refusals)
        closed = needs_token and not is_open(route.method, route.rule)
        operation["security"] = [{"token": []}, {"session": []}] if closed else []
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    cookie = {"type": "apiKey", "in": "cookie", "name": f"{COOKIE}PORT", "description": "PORT: the service's own."}
    token = {"type": "http", "scheme": "bearer", "description": "`run.py token new` makes one."}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nodeferry",
            "version": VERSION,
            "description": "docs/api.md says what the fields mean. Every address has OPTIONS too (204, with `Allow`), "
            "and HEAD where it has GET; any other method is 405 `method_not_allowed`, with `Allow`.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": models,
            "headers": {name: {**header, "required": True} for name, header in HEADERS.items()},
            "responses": refusals,
            "securitySchemes": {"token": token, "session": cookie},
        },
    }


def _operation(route: Route, models: dict[str, Any], refusals: dict[str, Any]) -> dict[str, Any]:
    known = OPERATIONS.get(route.key)
    in_path = [_parameter(name, "path", _place(name), needed=True) for name in _PLACE.findall(route.rule)]
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.about,
        "tags": [route.rule.split("/")[1]],
        "parameters": in_path,
        "responses": {},
    }
    if known is None:  # test/api/test_openapi.py says what is missing
        return operation | {"responses": {"default": {"description": "Not told."}}}
    operation["responses"] = _responses(route, known, refusals)
    _ask(operation, route, known, models)
    return operation


def _place(name: str) -> Schema:
    return UUID if name.endswith("_id") else _ADDRESS


def _ask(operation: dict[str, Any], route: Route, known: Operation, models: dict[str, Any]) -> None:
    """What the request carries: parameters, or a body."""
    if known.takes_file:
        binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": binary}
    if known.asked is None:
        assert known.takes_file, route.key
        return
    schema = known.asked.model_json_schema(ref_template=_REFS)
    models.update(schema.pop("$defs", {}))
    if route.method == "GET" or known.takes_file:
        needed = schema.get("required", ())
        for name, how in schema.get("properties", {}).items():
            operation["parameters"].append(_parameter(name, "query", _not_null(how), needed=name in needed))
    else:
        models[known.asked.__name__] = schema
        content: dict[str, Any] = {"schema": ref(known.asked.__name__)}
        if known.example:
            content["example"] = dict(known.example)
        operation["requestBody"] = {"required": bool(schema.get("required")), "content": {JSON: content}}


def _not_null(schema: Mapping[str, Any]) -> Schema:
    """A parameter is text, or is not there."""
    kept = {name: value for name, value in schema.items() if not (name == "default" and value is None)}
    if "anyOf" in kept:
        [only] = [each for each in kept.pop("anyOf") if each != {"type": "null"}]
        kept |= only
    return kept


def _responses(route: Route, known: Operation, refusals: dict[str, Any]) -> dict[str, Any]:
    told = {str(status): _answer(replies) for status, replies in known.replies.items()}
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes_of(route.method, route.rule, known):
        by_status[errors.status_of_code(code)].append(code)
    for status, codes in sorted(by_status.items()):
        told[str(status)] = _shared(_refusal(codes, route.method), HTTPStatus(status), refusals)
    return told


def _shared(refusal: dict[str, Any], status: HTTPStatus, refusals: dict[str, Any]) -> dict[str, Any]:
    """A reference to this refusal, which many routes have in common."""
    name = "".join(word.capitalize() for word in status.phrase.split())
    variants = [each for each in refusals if each.rstrip("0123456789") == name]
    found = next((each for each in variants if refusals[each] == refusal), f"{name}{len(variants) + 1}")
    refusals.setdefault(found, refusal)
    return {"$ref": f"#/components/responses/{found}"}


def codes_of(method: str, rule: str, known: Operation) -> list[str]:
    """Every code that a route can answer with, whatever its status."""
    codes = [*_EVERY, *known.codes]
    if not is_open(method, rule):
        codes += _LOGIN
        codes += ["read_only_token"] if changes(method, rule) else []
    if method not in SAFE_METHODS:
        codes += _BODY
    if "<" in rule:
        codes.append(_NOT_FOUND)
    if not rule.startswith("/health"):
        codes += _STORED
    return list(dict.fromkeys(codes))


def _answer(replies: tuple[Reply, ...]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for reply in replies:
        if reply.content_type:
            content[reply.content_type] = {"schema": _any_of(reply.schemas)}
    told = _headers(errors.HEADERS) | _headers((*_OF_COMPRESSION, PAGES), always=False)
    for reply in replies:
        told |= _headers(reply.headers, always=len(replies) == 1) | _headers(reply.sometimes, always=False)
    made: dict[str, Any] = {"description": " ".join(dict.fromkeys(reply.about for reply in replies)), "headers": told}
    return made | ({"content": content} if content else {})


def _any_of(names: tuple[str, ...]) -> Schema:
    if not names:
        return TEXT
    return ref(names[0]) if len(names) == 1 else {"anyOf": [ref(name) for name in names]}


def _refusal(codes: list[str], method: str) -> dict[str, Any]:
    """An error's answer; a page where a browser has gone to an address."""
    status = errors.status_of_code(codes[0])
    schema = {"allOf": [ref("Error"), {"properties": {"error": {"enum": sorted(codes)}}}]}
    content: dict[str, Any] = {JSON: {"schema": schema, "example": _ERROR | {"error": codes[0]}}}
    headers = _headers(errors.HEADERS) | _headers((*_OF_COMPRESSION, PAGES), always=False)
    if status == 401:
        headers |= _headers(["WWW-Authenticate"])
    elif status in errors.RETRY_AFTER_SECONDS:
        headers |= _headers(["Retry-After"])
    if method == "GET":
        content["text/html"] = {"schema": TEXT}
        headers |= _headers(["Content-Security-Policy"], always=False)
    return {"description": f"`{'`, `'.join(codes)}`", "headers": headers, "content": content}


def _headers(names: Iterable[str], *, always: bool = True) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} if always else dict(HEADERS[name]) for name in names}


def _parameter(name: str, place: str, schema: Schema, *, needed: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": needed, "schema": dict(schema)}
