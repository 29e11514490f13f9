"""From a request to what one install does, and from a stored request back to a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.domain.address import parse_address
from app.domain.errors import InvalidRequest
from app.domain.request import InstallOptions, InstallRequest
from app.settings import Settings
from app.sync.installation import Order
from app.version import VERSION

_RUNNER_OPTIONS = ("existing", "run_scripts", "verify", "restart", "plan_only", "on_failure")


def order_of(task_id: str, request: InstallRequest, settings: Settings) -> Order:
    """What the install with this task_id is to do."""
    wait_seconds = request.options.wait_seconds
    return Order(
        address=request.address,
        host_key_sha256=request.options.host_key_sha256,
        wait_seconds=settings.wait_seconds if wait_seconds is None else wait_seconds,
        runner_request=_runner_request(task_id, request, settings),
    )


def request_of(stored: Mapping[str, Any]) -> InstallRequest:
    """The request whose `to_json` is in a record. Raises KeyError, TypeError or ValueError for anything else."""
    try:
        address = parse_address(stored["ssh_connection"])
    except InvalidRequest as exc:
        raise ValueError(exc.message) from exc
    return InstallRequest(
        ssh_connection=stored["ssh_connection"],
        address=address,
        ui_home=stored["ui_home"],
        venv_path=stored["venv_path"],
        manifest=stored["manifest"],
        options=InstallOptions(**stored["options"]),
        idempotency_key=stored["idempotency_key"],
        rollback_of=stored.get("rollback_of"),
    )


def rollback_of(task_id: str, request: InstallRequest) -> InstallRequest:
    """The request that undoes the install `request`, which ran as `task_id`."""
    options = InstallOptions(wait_seconds=request.options.wait_seconds, host_key_sha256=request.options.host_key_sha256)
    return replace(request, manifest={"nodes": []}, options=options, idempotency_key=None, rollback_of=task_id)


def require_of(stored: Mapping[str, Any]) -> str:
    """`options.require` of a stored request: what makes a finished install a success."""
    return str((stored.get("options") or {}).get("require", "any"))


def _runner_request(task_id: str, request: InstallRequest, settings: Settings) -> dict[str, Any]:
    """What the runner's `start` reads, the default manifest filled in."""
    default = {"repo": settings.auto_installer_repo, "path": settings.auto_installer_path, "ref": None}
    return {
        "task_id": task_id,
        "ui_home": request.ui_home,
        "venv_path": request.venv_path,
        "manifest": default if request.manifest is None else dict(request.manifest),
        "options": {name: getattr(request.options, name) for name in _RUNNER_OPTIONS},
        "schemes": list(settings.allowed_git_schemes),
        "version": VERSION,
        "rollback_of": request.rollback_of,
    }
