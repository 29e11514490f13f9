"""The requests of retries and fleets: HTTP JSON to domain, as `app.sync.http.bodies` does it for the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, WithJsonSchema, create_model

from app.domain.address import SshAddress, undecorated
from app.domain.errors import InvalidRequest
from app.domain.request import FleetLimits, check_remote_path
from app.domain.wrong_entries import all_wrong
from app.protocol import amounts
from app.protocol.manifest import MAX_NODES
from app.protocol.options import OPTIONS, Options
from app.settings import Settings
from app.sync.fleets import FleetRequest
from app.sync.http import bodies
from app.sync.http.body_types import NEEDED, IdempotencyKey, Kinds, Manifest, RemotePath, SshConnection

MAX_INSTANCES = 1000
MAX_FLEET_BYTES = 256 * 1024 * 1024
"""Of the lists of a fleet's instances together. It is kept once, but a retry may need one of its own for each."""
MAX_ROWS = 200
_SHARED = ("manifest", "options", "idempotency_key")
_OWN = ("ssh_connection", "address", "ui_home", "venv_path")
DEFAULT_ROWS = 100
"""As many as every fleet had instances at most when there was no `limit`."""


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


class LimitsBody(bodies.JsonBody):
    """`limits` of a fleet: how many of its installs run at once, in all and on one host; any number where it is not
    given. The setting `max_running` holds for all of them."""

    at_once: Annotated[int, Field(ge=1, le=MAX_INSTANCES)] | None = None
    per_host: Annotated[int, Field(ge=1, le=MAX_INSTANCES)] | None = None


class FleetBody(bodies.JsonBody):
    """POST /fleet/install-custom-nodes. `ui_home` and `venv_path` hold for the entries that have none of their own."""

    ssh_connections: Annotated[list[_Entry], Field(min_length=1, max_length=MAX_INSTANCES)]
    ui_home: RemotePath | None = None
    venv_path: RemotePath | None = None
    manifest: Manifest | None = None
    options: bodies.OptionsBody | None = None
    limits: LimitsBody | None = None
    idempotency_key: IdempotencyKey | None = None


class FleetPageQuery(bodies.Query):
    """GET /runs/ID of a fleet. `limit`, `offset`: which of its instances, in the order of the request; `state`: kinds
    of a summary, with commas between; `q`: a part of the address; `needing`: only those that need
    somebody."""

    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = DEFAULT_ROWS
    offset: Annotated[int, Field(ge=0, le=MAX_INSTANCES)] = 0
    state: Kinds | None = None
    q: Annotated[str, Field(min_length=1, max_length=bodies.MAX_FIELD_CHARS)] | None = None
    needing: Literal["true"] | None = None


class FleetQuery(FleetPageQuery):
    """GET /fleet/ID. As of GET /runs/ID; `since`: a revision."""

    since: Annotated[int, Field(ge=0)] | None = None


@dataclass(frozen=True, slots=True)
class _Where:
    """One instance as its entry names it, checked."""

    ssh_connection: str
    address: SshAddress
    ui_home: str | None
    venv_path: str | None


def fleet_request(values: Mapping[str, Any], settings: Settings) -> FleetRequest:
    """The installs that `values` ask for, every part of them checked, the list that they have in common once. Raises
    InvalidRequest, which names every entry that is wrong."""
    body = bodies.read(FleetBody, values)
    _check_size(body)
    found = _all_places(body)
    shared = {name: values[name] for name in _SHARED if values.get(name) is not None}
    first = bodies.install_request(shared | {"ssh_connection": found[0].ssh_connection}, settings)
    limits = None if body.limits is None else FleetLimits.read(body.limits.model_dump())
    common = replace(first, idempotency_key=None, limits=limits)
    requests = (replace(common, **{name: getattr(each, name) for name in _OWN}) for each in found)
    return FleetRequest(tuple(requests), first.idempotency_key)


def _check_size(body: FleetBody) -> None:
    size = len(json.dumps(body.manifest)) * len(body.ssh_connections)
    if size > MAX_FLEET_BYTES:
        raise InvalidRequest(
            f"The lists of all instances have {amounts.size(size)} together; at most {amounts.size(MAX_FLEET_BYTES)} "
            "are possible.",
            code="fleet_too_large",
            field="ssh_connections",
        )


def _all_places(body: FleetBody) -> list[_Where]:
    found, wrong = [], []
    for index, entry in enumerate(body.ssh_connections):
        try:
            found.append(_place(index, entry, body))
        except InvalidRequest as exc:
            wrong.append(exc)
    if wrong:
        raise all_wrong(wrong)
    return found


def _place(index: int, entry: object, body: FleetBody) -> _Where:
    name = f"ssh_connections[{index}]"
    own = entry if isinstance(entry, dict) else {"ssh_connection": entry}
    try:
        given = bodies.read(FleetInstance, own)
        address = bodies.address_of(given.ssh_connection)
        paths = {
            each: None if path is None else check_remote_path(path, each)
            for each in ("ui_home", "venv_path")
            for path in [getattr(given, each) or getattr(body, each)]
        }
    except InvalidRequest as exc:
        field = name if exc.field == "ssh_connection" else f"{name}.{exc.field}"
        raise type(exc)(exc.message, hint=exc.hint, field=field, code=exc.code) from None
    return _Where(undecorated(str(given.ssh_connection)), address, **paths)
