"""What a start is asked for over the API."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from app.protocol.options import OPTIONS


def request_body(ssh_command: str, manifest: Mapping[str, Any] | None, **asked: Any) -> dict[str, Any]:
    """The request of a start: only what was asked for, so that the service's defaults hold for the rest."""
    options = {name: asked[name] for name in OPTIONS if asked.get(name) is not None}
    body = {
        "ssh_connection": ssh_command,
        "ui_home": asked.get("ui_home"),
        "venv_path": asked.get("venv_path"),
        "manifest": manifest,
        "options": options or None,
        "idempotency_key": str(uuid.uuid4()),
    }
    return {name: value for name, value in body.items() if value is not None}
