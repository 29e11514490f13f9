"""What an error is over HTTP: its status, its body, and the errors that only HTTP has."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.errors import AppError, InvalidRequest
from app.domain.workflow_file_errors import ManifestHasQuestions
from app.protocol.redaction import masked
from app.protocol.terminal_text import json_text, one_line
from app.words import LANGUAGE, word

STATUS_OF_CODE: Mapping[str, int] = {
    "invalid_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "task_not_found": 404,
    "log_not_found": 404,
    "wheel_not_found": 404,
    "fleet_not_found": 404,
    "run_not_found": 404,
    "workflow_file_not_found": 404,
    "template_not_found": 404,
    "templates_missing": 409,
    "run_has_no_workflow": 404,
    "manifest_has_questions": 409,
    "status_link_not_found": 404,
    "instance_not_found": 404,
    "instance_busy": 409,
    "question_not_found": 404,
    "method_not_allowed": 405,
    "task_error": 409,
    "workflow_not_found": 404,
    "workflow_error": 409,
    "remote_error": 409,
    "runner_error": 409,
    "body_too_large": 413,
    "fleet_too_large": 413,
    "malformed_request": 400,
    "request_too_slow": 408,
    "head_too_large": 431,
    "encoding_not_supported": 501,
    "version_not_supported": 505,
    "too_many_connections": 429,
    "service_busy": 503,
    "not_json": 415,
    "key_not_made": 409,
    "too_many_tasks": 429,
    "too_many_keys": 429,
    "too_many_fleets": 429,
    "too_many_tunnels": 429,
    "too_many_workflows": 429,
    "too_many_attempts": 429,
    "service_closing": 503,
    "storage_error": 503,
    "not_ready": 503,
    "too_many_streams": 503,
}
"""An error has the status of its code, else of the nearest class above it that has one, else 500."""

GENERAL_CODES: Mapping[str, str] = {
    "workflow_file_unknown": "workflow_file_unreadable",
    "workflow_file_empty": "workflow_file_unreadable",
    "workflow_file_too_large": "workflow_file_unreadable",
    "malformed_json": "invalid_request",
    "host_not_allowed": "forbidden",
    "cross_site_request": "forbidden",
    "key_exists": "key_not_made",
    "too_many_ssh_keys": "key_not_made",
    "no_ssh_key": "remote_error",
    "host_key_revoked": "remote_error",
    "known_hosts_unusable": "remote_error",
    "proxy_command_unsupported": "remote_error",
    "ssh_config_invalid": "remote_error",
    "too_many_jumps": "remote_error",
    "access_unavailable": "storage_error",
    "database_corrupt": "storage_error",
    "database_full": "storage_error",
    "database_locked": "storage_error",
    "database_newer": "storage_error",
    "database_read_only": "storage_error",
    "database_unavailable": "storage_error",
    "logs_unavailable": "storage_error",
    "progress_unavailable": "storage_error",
}
"""Codes that no class has for itself, and the code of the class whose errors carry them."""

JSON_TYPE = "application/json; charset=utf-8"
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
"""What every answer has, unless a route says something else about being kept."""

_STYLE = (
    ":root{color-scheme:light dark}body{max-width:36rem;margin:12vh auto 0;padding:0 1rem;"
    "font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}h1{font-size:20px}"
)
_STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CHALLENGE = 'Bearer realm="nodeferry"'

RETRY_AFTER_SECONDS: Mapping[int, int] = {429: 30, 503: 5}
"""By status: when to try again."""


class Forbidden(AppError):
    """Requests from there are not allowed."""

    code = "forbidden"


class ReadOnlyToken(Forbidden):
    """This token is for looking only; it changes nothing."""

    code = "read_only_token"


class NotFound(AppError):
    """There is nothing at this address."""

    code = "not_found"


class MethodNotAllowed(AppError):
    """This address does not support this HTTP method."""

    code = "method_not_allowed"


class BodyTooLarge(AppError):
    """The request's body is too large."""

    code = "body_too_large"


class MalformedRequest(AppError):
    """This is not a valid HTTP request."""

    code = "malformed_request"


class RequestTooSlow(AppError):
    """The request did not arrive in time."""

    code = "request_too_slow"


class HeadTooLarge(AppError):
    """The request's headers are too large."""

    code = "head_too_large"


class EncodingNotSupported(AppError):
    """The request's Transfer-Encoding is not supported."""

    code = "encoding_not_supported"


class VersionNotSupported(AppError):
    """The request's version of HTTP is not supported."""

    code = "version_not_supported"


class TooManyConnections(AppError):
    """Too many connections from this address are open."""

    code = "too_many_connections"


class NotJson(AppError):
    """The request's Content-Type is not JSON."""

    code = "not_json"


class NotAFile(NotJson):
    """The request's body is a form; it has to be the file itself."""

    code = "not_a_file"


class NotReady(AppError):
    """The service does not accept work."""

    code = "not_ready"


class TooManyStreams(AppError):
    """Too many live views are open already."""

    code = "too_many_streams"


class InternalError(AppError):
    """Something went wrong inside Nodeferry."""

    code = "internal_error"


def status_of(error: AppError) -> int:
    """The HTTP status of `error`."""
    codes = [error.code, *(str(vars(cls).get("code")) for cls in type(error).__mro__)]
    return next((STATUS_OF_CODE[code] for code in codes if code in STATUS_OF_CODE), 500)


def status_of_code(code: str) -> int:
    """The HTTP status of errors with this code."""
    for kind in _kinds(AppError):
        if vars(kind).get("code") == code:
            return status_of(kind.__new__(kind))
    return STATUS_OF_CODE.get(code) or status_of_code(GENERAL_CODES[code])


def codes_of(kind: type[AppError]) -> list[str]:
    """The codes that errors of this kind can have, the kind's own first."""
    known = [each.code for each in _kinds(kind)]
    return list(dict.fromkeys([*known, *(code for code, general in GENERAL_CODES.items() if general in known)]))


def _kinds(kind: type[AppError]) -> list[type[AppError]]:
    return [kind, *(below for each in kind.__subclasses__() for below in _kinds(each))]


def error_body(error: AppError) -> dict[str, Any]:
    """The one shape that every error has."""
    body: dict[str, Any] = {
        "success": False,
        "error": error.code,
        "message": masked(error.message),
        "hint": masked(error.hint),
    }
    if isinstance(error, InvalidRequest) and error.wrong_entries:
        body["wrong_entries"] = [{name: masked(text) for name, text in fault.items()} for fault in error.wrong_entries]
    if isinstance(error, ManifestHasQuestions):
        body["questions"] = list(error.questions)
    return body if error.field is None else {**body, "field": masked(error.field)}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it goes over the line."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def answer_of(error: AppError, *, as_page: bool = False) -> Answer:
    """`error` in the one shape, with its status; `as_page`: for a browser that has gone to an address."""
    status = status_of(error)
    headers = dict(HEADERS)
    if as_page:
        text, headers["Content-Type"] = error_page(error), "text/html; charset=utf-8"
        headers["Content-Security-Policy"] = f"default-src 'none'; style-src '{_STYLE_HASH}'; frame-ancestors 'none'"
    else:
        text, headers["Content-Type"] = json_text(error_body(error), separators=(",", ":")), JSON_TYPE
    if status == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    elif status in RETRY_AFTER_SECONDS:
        headers["Retry-After"] = str(getattr(error, "retry_after", RETRY_AFTER_SECONDS[status]))
    return Answer(status, tuple(headers.items()), text.encode("utf-8"))


def error_page(error: AppError) -> str:
    """An error for a browser that has gone to an address, where none of the pages' own files may be had."""
    text = {name: html.escape(one_line(value)) for name, value in error_body(error).items() if isinstance(value, str)}
    login = f"<p>{html.escape(word('shell.login_here'))}</p>\n" if error.code == "unauthorized" else ""
    return (
        f'<!doctype html>\n<html lang="{LANGUAGE}"><head><meta charset="utf-8"><title>Nodeferry</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>\n"
        f"<h1>{text['message']}</h1>\n<p>{text['hint']}</p>\n{login}"
        f"<p>Nodeferry said this (<code>{text['error']}</code>).</p>\n"
        "</body></html>\n"
    )
