"""Instances: those that are remembered, one looked at now, and the host keys that are trusted.

Testing and scanning are the only routes that open SSH connections, each with a deadline.
"""

from __future__ import annotations

from flask import Blueprint, Response

from app.domain.errors import RemoteError, RunnerError
from app.domain.request import check_fingerprint
from app.sync.capacity import Kind
from app.sync.http import bodies, errors
from app.sync.http.services import answer, body, query, services
from app.sync.instance_checks import shown_by

instances = Blueprint("instances", __name__)


@instances.post("/ssh/test")
def check_instance() -> Response:
    """Connect and look; an instance that fails is an answer (`success` false), not an HTTP error."""
    asked = body(bodies.CheckBody)
    address, ui_home = bodies.address_of(asked.ssh_connection), bodies.ui_home_of(asked)
    fingerprint = bodies.fingerprint_of(asked.host_key_sha256, "host_key_sha256")
    timeout = asked.timeout_seconds or services().settings.timeouts.connect
    try:
        with services().capacity.place(Kind.INSTANCES):
            asks_first = asked.first_contact == "ask"
            found = services().checks.test(address, ui_home, fingerprint, timeout, asks_first=asks_first)
    except (RemoteError, RunnerError) as error:
        return answer({**errors.error_body(error), **shown_by(error)})
    return answer(found)


@instances.get("/host-keys")
def list_host_keys() -> Response:
    """Every key that is pinned."""
    query(bodies.NoQuery)
    return answer({"success": True, "host_keys": services().checks.host_keys()})


@instances.post("/host-keys/scan")
def scan_host_key() -> Response:
    """The key that an instance shows now, or a jump host before it; nothing is trusted."""
    asked = body(bodies.ScanBody)
    address = bodies.address_of(asked.ssh_connection)
    with services().capacity.place(Kind.INSTANCES):
        found, is_jump_host = services().checks.scan(address)
    return answer({"success": True, "host_key": found, "is_jump_host": is_jump_host})


@instances.post("/host-keys/accept")
def accept_host_key() -> Response:
    """Pin the key that the instance shows now, if it has the fingerprint that the user has seen."""
    asked = body(bodies.AcceptBody)
    address, sha256 = bodies.address_of(asked.ssh_connection), check_fingerprint(asked.sha256, "sha256")
    with services().capacity.place(Kind.INSTANCES):
        found = services().checks.accept(address, sha256)
    return answer({"success": True, "host_key": found})


@instances.delete("/host-keys/<address>")
def forget_host_key(address: str) -> Response:
    """Unpin every key of one HOST:PORT."""
    host, port = bodies.host_and_port_of(address)
    body(bodies.NoBody)
    gone = services().checks.forget(host, port)
    if not gone:
        raise errors.NotFound("No host key is known for this address.", hint="GET /host-keys lists the known ones.")
    return answer({"success": True, "host": host, "port": port, "forgotten": gone})


@instances.get("/instances")
def list_instances() -> Response:
    """The instances that are remembered, that with the newest run first; opens no connection."""
    query(bodies.NoQuery)
    return answer({"success": True, "instances": services().remembered.list()})


@instances.delete("/instances/<instance_id>")
def forget_instance(instance_id: str) -> Response:
    """Forget an instance and the host keys of its address; its runs stay."""
    known = bodies.uuid_of(instance_id, "instance_id")
    body(bodies.NoBody)
    gone = services().remembered.forget(known)
    return answer({"success": True, "instance_id": known, "host_keys_forgotten": gone})
