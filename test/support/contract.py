"""Holds the answers of services against the specification: route, status, content type, headers, schema.

`test/conftest.py` does this for every answer of every service that runs in a test's own process.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs
from flask import Flask, Response, request

from app.sync.http.openapi import api_routes
from app.sync.http.spec.document import PAGES, document

_OF_THE_SERVER = frozenset(
    {"content-type", "content-length", "date", "server", "connection", "transfer-encoding", "via"}
)
"""Headers that OpenAPI leaves to HTTP itself."""

Headers = Mapping[str, str]
Json = dict[str, Any]

BROKEN: list[str] = []
"""What was found since somebody has looked."""


class Contract:
    """A specification, and what of an answer it does not know."""

    def __init__(self, specification: Json) -> None:
        self._specification = specification
        self._components = specification["components"]
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def faults(self, method: str, path: str | None, status: int, headers: Headers, body: bytes | None) -> list[str]:
        """`path`: as the specification names it, None where no route answered; `body`: None where it is a stream."""
        response = self._response(method, path, status)
        if isinstance(response, str):
            return [response]
        found = [*self._header_faults(response, headers), *self._body_faults(response, method, headers, body)]
        return [f"{method} {path}: {status}: {fault}" for fault in found]

    def _response(self, method: str, path: str | None, status: int) -> Json | str:
        """What the specification says of this status; a sentence where it says nothing."""
        if status == 405:
            return self._page_too(self._components["responses"]["MethodNotAllowed"])
        operations = self._specification["paths"].get(path, {})
        operation = operations.get({"HEAD": "GET"}.get(method, method).lower())
        if operation is None:
            return self._without_route(method, path, status)
        if "default" in operation["responses"]:
            rule = (path or "").replace("{", "<").replace("}", ">")
            return (
                f"{method} {rule} has no entry in app/sync/http/spec/routes.py: add what it is asked, what it answers "
                "and its error codes to the table (CONTRIBUTING.md, 'A route')"
            )
        told = operation["responses"].get(str(status))
        if told is None:
            return f"{method} {path}: the specification has no answer {status}"
        return self._resolved(told)

    def _without_route(self, method: str, path: str | None, status: int) -> Json | str:
        """Other methods, other addresses: what is so everywhere. Refusals look like those of any route that changes."""
        if method == "OPTIONS" and status == 204:
            names = (
                "Cache-Control",
                "X-Content-Type-Options",
                "Cross-Origin-Resource-Policy",
                "X-Frame-Options",
                "Allow",
            )
            headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
            return {"headers": headers | {PAGES: self._components["headers"][PAGES] | {"required": False}}}
        if path is None and status == 404:
            return self._page_too(
                self._resolved(self._specification["paths"]["/tasks/{task_id}/lock"]["get"]["responses"]["404"])
            )
        known = self._specification["paths"]["/tasks/{task_id}"]["get"]["responses"].get(str(status))
        if known is None or status < 400:
            return f"{method} {path}: {status}, and the specification knows no such operation"
        return self._resolved(known)

    def _page_too(self, response: Json) -> Json:
        policy = {
            "Content-Security-Policy": self._components["headers"]["Content-Security-Policy"] | {"required": False}
        }
        return response | {
            "content": response["content"] | {"text/html": {"schema": {"type": "string"}}},
            "headers": response["headers"] | policy,
        }

    def _resolved(self, found: Json) -> Json:
        if "$ref" not in found:
            return found
        _, _, kind, name = found["$ref"].split("/")
        resolved: Json = self._components[kind][name]
        return resolved

    def _header_faults(self, response: Json, headers: Headers) -> list[str]:
        told = {name.lower(): self._resolved(header) for name, header in response.get("headers", {}).items()}
        sent = {name.lower(): value for name, value in headers.items()}
        faults = [
            f"the header {name} is not in the specification" for name in sent.keys() - told.keys() - _OF_THE_SERVER
        ]
        faults += [
            f"the header {name} is missing"
            for name, known in told.items()
            if known.get("required") and name not in sent
        ]
        for name in sent.keys() & told.keys():
            schema = told[name]["schema"]
            value: Any = int(sent[name]) if schema.get("type") == "integer" and sent[name].isdigit() else sent[name]
            faults += [f"the header {name}: {why}" for why in self._schema_faults(schema, value)]
        return faults

    def _body_faults(self, response: Json, method: str, headers: Headers, body: bytes | None) -> list[str]:
        content = response.get("content", {})
        if not content:
            return ["it has a body"] if body else []
        kind = headers.get("Content-Type", "").partition(";")[0]
        if kind not in content:
            return [f"the content type {kind!r} is not in the specification"]
        if body is None or method == "HEAD" or kind != "application/json":
            return []
        return self._schema_faults(content[kind]["schema"], json.loads(body))

    def _schema_faults(self, schema: Json, value: object) -> list[str]:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            root = {**schema, "components": {"schemas": self._components["schemas"]}}
            self._validators[key] = jsonschema_rs.Draft202012Validator(root)
        validator = self._validators[key]
        if validator.is_valid(value):
            return []
        return [_innermost(error) for error in validator.iter_errors(value)][:3]


def _innermost(error: Any) -> str:
    """Of the alternatives that a value is none of, what each of them lacks."""
    kind = error.kind
    inner = [each for branch in getattr(kind, "context", None) or [] for each in branch]
    where = "/".join(map(str, error.instance_path))
    return "; ".join(_innermost(each) for each in inner[:6]) if inner else f"at /{where}: {error.message[:300]}"


@cache
def _contract(routes: tuple[Any, ...]) -> Contract:
    return Contract(document(routes, needs_token=False))


def contract_of(app: Flask) -> Contract:
    """The contract of a service; one for all that have the same routes."""
    return _contract(tuple(sorted(api_routes(app), key=lambda route: route.key)))


def hold(app: Flask, response: Response, **_: object) -> None:
    """Notes in `BROKEN` what the specification does not know of an answer that is about to leave."""
    rule = request.url_rule
    if rule is not None and (rule.endpoint.startswith("webui.") or "." not in rule.endpoint):  # a page; a test's own
        return
    path = None if rule is None else rule.rule.replace("<", "{").replace(">", "}")
    body = None if response.is_streamed else response.get_data()
    if body and response.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    BROKEN.extend(contract_of(app).faults(request.method, path, response.status_code, dict(response.headers), body))
