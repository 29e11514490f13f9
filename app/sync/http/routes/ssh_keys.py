"""The SSH keys that the service logs in with: public parts only, and a new one where there is none."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response

from app.remote.own_keys import WHERE_TO_PASTE
from app.sync.http import bodies
from app.sync.http.services import answer, body, query, services

ssh_keys = Blueprint("ssh_keys", __name__)


@ssh_keys.get("/ssh-keys")
def list_ssh_keys() -> Response:
    """The keys in the user's ~/.ssh and of the agent."""
    query(bodies.NoQuery)
    found = [asdict(key) for key in services().ssh_keys.list()]
    return answer({"success": True, "ssh_keys": found, "where_to_paste": WHERE_TO_PASTE})


@ssh_keys.post("/ssh-keys")
def make_ssh_key() -> Response:
    """Make a key; an existing file is never overwritten."""
    asked = body(bodies.SshKeyBody)
    made = services().ssh_keys.make(asked.name)
    return answer({"success": True, "ssh_key": asdict(made), "where_to_paste": WHERE_TO_PASTE}, 201)
