"""Install records to store."""

from __future__ import annotations

import time
import uuid
from typing import Any

from app.domain.record import InstallRecord

REQUEST = {"ssh_connection": "root@ssh6.vast.ai -p 12345", "ui_home": "/workspace/ComfyUI", "manifest": None}


def new_record(**changed: Any) -> InstallRecord:
    """A queued install of now, with `changed` fields."""
    fields: dict[str, Any] = {
        "task_id": str(uuid.uuid4()),
        "created_at": time.time(),
        "request": REQUEST,
        "instance": "root@ssh6.vast.ai:12345",
    }
    return InstallRecord(**(fields | changed))
