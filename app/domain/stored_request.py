"""A request as its record keeps it: the JSON, and the one reader of what this and earlier versions wrote.

Version 1 has no `version`: which kind of request it is, `rollback_of` and `restart_of` say. Later versions may add
names; a name that a record lacks has its default, and one that is not known here is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.address import parse_address
from app.domain.errors import InvalidRequest
from app.domain.request import NO_TASK, FleetLimits, InstallRequest, Request, RestartRequest, RollbackRequest
from app.protocol.options import Options

VERSION = 2


def store_request(request: Request) -> dict[str, Any]:
    """`request` as JSON. Every kind has every name: polls, the history and earlier versions read them."""
    kind = request.kind_fields()
    return {
        "version": VERSION,
        "ssh_connection": request.ssh_connection,
        "ui_home": request.ui_home,
        "venv_path": request.venv_path,
        "options": request.options.to_json(),
        "idempotency_key": request.idempotency_key,
        **kind,
        "expected": [list(pack) for pack in kind["expected"]],
        "retry_of": request.retry_of,
        "retry_number": request.retry_number,
        **({} if request.limits is None else {"limits": request.limits.to_json()}),
    }


def read_request(stored: Mapping[str, Any]) -> Request:
    """The request in a record. Raises KeyError, TypeError or ValueError where there is none."""
    try:
        address = parse_address(stored["ssh_connection"])
    except InvalidRequest as exc:
        raise ValueError(exc.message) from exc
    shared = {
        "ssh_connection": stored["ssh_connection"],
        "address": address,
        "ui_home": stored["ui_home"],
        "venv_path": stored["venv_path"],
        "options": Options.read(stored["options"]),
        "idempotency_key": stored["idempotency_key"],
        "retry_of": stored.get("retry_of"),
        "retry_number": stored.get("retry_number", 0),
        "limits": FleetLimits.read(stored.get("limits")),
    }
    if stored.get("rollback_of"):
        return RollbackRequest(**shared, rollback_of=stored["rollback_of"])
    if stored.get("restart_of"):
        followed = None if stored["restart_of"] == NO_TASK else stored["restart_of"]
        packs = tuple((str(name), str(folder)) for name, folder in stored.get("expected") or ())
        return RestartRequest(**shared, restart_of=followed, expected=packs)
    return InstallRequest(**shared, manifest=stored["manifest"])


def read_install(stored: Mapping[str, Any]) -> InstallRequest:
    """The install in a workflow's record. Raises KeyError, TypeError or ValueError where there is none."""
    request = read_request(stored)
    if not isinstance(request, InstallRequest):
        raise TypeError("the record is no install's")
    return request


def read_options(stored: Mapping[str, Any]) -> Options:
    """The options in a record. One that cannot be read has the defaults."""
    try:
        return Options.read(stored.get("options"))
    except (AttributeError, TypeError, ValueError):
        return Options()
