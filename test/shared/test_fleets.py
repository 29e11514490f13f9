"""Fleets where several processes share a queue."""

from __future__ import annotations

from pathlib import Path

from test.api.client import content, service_in

MACHINES = ["ssh -p 22 root@one.invalid", "ssh -p 22 root@two.invalid"]


def test_limits_are_refused_where_nobody_would_keep_them(tmp_path: Path, postgresql_url: str) -> None:
    """Told at the start, not found out by a machine that was meant to be spared; without them it is accepted."""
    with service_in(tmp_path, database_url=postgresql_url, role="web") as api:
        asked = {"ssh_connections": MACHINES, "manifest": {"urls": ["https://github.com/a/a"]}}
        refused = api.post("/fleet/install-custom-nodes", {**asked, "limits": {"at_once": 1}})
        assert (refused.status_code, content(refused)["field"]) == (400, "limits")
        assert api.post("/fleet/install-custom-nodes", asked).status_code == 202
