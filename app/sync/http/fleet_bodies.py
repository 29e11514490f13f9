"""The requests of retries and fleets: HTTP JSON to domain, as `app.sync.http.bodies` does it for the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from app.domain.errors import InvalidRequest
from app.domain.request import InstallRequest
from app.protocol import amounts
from app.protocol.manifest import MAX_NODES
from app.protocol.options import OPTIONS, Options
from app.settings import Settings
from app.sync.fleets import FleetRequest
from app.sync.http import bodies
from app.sync.http.body_types import NEEDED, IdempotencyKey, Manifest, RemotePath, SshConnection

MAX_INSTANCES = 100
MAX_FLEET_BYTES = 16 * 1024 * 1024
"""Of the lists of a fleet's instances together: each task keeps its own."""
_SHARED = ("ui_home", "venv_path", "manifest", "options", "idempotency_key")


if TYPE_CHECKING:
    RetryOptions = bodies.JsonBody
else:
    RetryOptions = create_model(
        "RetryOptions",
        __base__=bodies.JsonBody,
        __doc__="What a retry may ask for otherwise than the task that it repeats: what hints name.",
        **{
            name: (bodies.option_field(OPTIONS[name])[0] | None, None)
            for name in ("existing", "allow_yanked", "system_packages")
        },
    )


class RetryBody(bodies.JsonBody):
    """POST /tasks/ID/retry. `nodes`: names of node packs; all that did not end well where it is not given. `options`:
    these are asked for otherwise than before."""

    nodes: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=300)]], Field(min_length=1, max_length=MAX_NODES)]
        | None
    ) = None
    options: RetryOptions | None = None

    def other_options(self) -> dict[str, Any]:
        """Those that are given, by their names. Raises InvalidRequest."""
        given = {} if self.options is None else self.options.model_dump(exclude_none=True)
        bodies.checked_options(Options(**given))
        return given


class FleetInstance(bodies.JsonBody):
    """An entry of `ssh_connections` that says more than the address."""

    ssh_connection: Annotated[SshConnection, NEEDED] = None
    ui_home: RemotePath | None = None
    venv_path: RemotePath | None = None


_ENTRIES = {"anyOf": [{"type": "string", "minLength": 1}, FleetInstance.model_json_schema()]}
_Entry = Annotated[Any, WithJsonSchema(_ENTRIES)]


class FleetBody(bodies.JsonBody):
    """POST /fleet/install-custom-nodes. `ui_home` and `venv_path` hold for the entries that have none of their own."""

    ssh_connections: Annotated[list[_Entry], Field(min_length=1, max_length=MAX_INSTANCES)]
    ui_home: RemotePath | None = None
    venv_path: RemotePath | None = None
    manifest: Manifest | None = None
    options: bodies.OptionsBody | None = None
    idempotency_key: IdempotencyKey | None = None


class FleetQuery(BaseModel):
    """GET /fleet/ID."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    since: Annotated[int, Field(ge=0)] | None = None


def fleet_request(values: Mapping[str, Any], settings: Settings) -> FleetRequest:
    """The installs that `values` ask for, every part of them checked. Raises InvalidRequest, for an instance that comes
    twice too."""
    body = bodies.read(FleetBody, values)
    shared = {name: values[name] for name in _SHARED if values.get(name) is not None}
    _check_size(body)
    first = _at(0, shared | _entry(0, body.ssh_connections[0]), settings)
    requests = [first]
    for index, entry in enumerate(body.ssh_connections[1:], 1):
        own = {name: shared[name] for name in ("ui_home", "venv_path") if name in shared} | _entry(index, entry)
        alone = _at(index, own, settings)
        requests.append(replace(alone, manifest=first.manifest, options=first.options))
    _no_twins(requests)
    key = first.idempotency_key
    return FleetRequest(tuple(replace(request, idempotency_key=None) for request in requests), key)


def _check_size(body: FleetBody) -> None:
    size = len(json.dumps(body.manifest)) * len(body.ssh_connections)
    if size > MAX_FLEET_BYTES:
        raise InvalidRequest(
            f"The lists of all instances have {amounts.size(size)} together; at most {amounts.size(MAX_FLEET_BYTES)} "
            "are possible.",
            code="fleet_too_large",
            field="ssh_connections",
        )


def _entry(index: int, entry: object) -> dict[str, Any]:
    """The fields of one instance that it gives itself."""
    if not isinstance(entry, dict):
        return {"ssh_connection": entry}
    try:
        given = bodies.read(FleetInstance, entry)
    except InvalidRequest as exc:
        raise _named(exc, f"ssh_connections[{index}].{exc.field}") from None
    return {name: value for name, value in given if name == "ssh_connection" or value is not None}


def _at(index: int, values: Mapping[str, Any], settings: Settings) -> InstallRequest:
    """One instance's request; a fault that is its own is named by its place."""
    try:
        return bodies.install_request(values, settings)
    except InvalidRequest as exc:
        if exc.field == "ssh_connection":
            raise _named(exc, f"ssh_connections[{index}]") from None
        if exc.field in {"ui_home", "venv_path"}:
            raise _named(exc, f"ssh_connections[{index}].{exc.field}") from None
        raise


def _named(exc: InvalidRequest, field: str) -> InvalidRequest:
    return type(exc)(exc.message, hint=exc.hint, field=field, code=exc.code)


def _no_twins(requests: list[InstallRequest]) -> None:
    seen: dict[tuple[str, str | None], int] = {}
    for index, request in enumerate(requests):
        first = seen.setdefault((str(request.address), request.ui_home), index)
        if first != index:
            message = f"ssh_connections[{index}] is the same instance and ui_home as ssh_connections[{first}]."
            raise InvalidRequest(message, field=f"ssh_connections[{index}]")
