"""From a request to what one install does, and from a stored request back to a request. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from app.domain import retry
from app.domain.address import parse_address
from app.domain.errors import InvalidRequest, NothingToRetry
from app.domain.request import InstallOptions, InstallRequest
from app.protocol import progress_json
from app.protocol.snapshot import Snapshot
from app.settings import Settings
from app.sync.installs.worker import InstallSpec
from app.version import VERSION

RESTART_STEP = progress_json.RESTART
JUST_RESTART = "none"
"""In place of a task_id: a restart that follows no install."""
_RUNNER_OPTIONS = ("existing", "run_scripts", "verify", "restart", "plan_only", "on_failure", "wait_for_provisioning")


def spec_of(task_id: str, request: InstallRequest, settings: Settings) -> InstallSpec:
    """What the install with this task_id is to do."""
    wait_seconds = request.options.wait_seconds
    return InstallSpec(
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
        retry_of=stored.get("retry_of"),
        retry_number=stored.get("retry_number", 0),
        restart_of=stored.get("restart_of"),
        expected=tuple((str(name), str(folder)) for name, folder in stored.get("expected") or ()),
    )


def rollback_of(task_id: str, request: InstallRequest) -> InstallRequest:
    """The request that undoes the install `request`, which ran as `task_id`."""
    options = InstallOptions(wait_seconds=request.options.wait_seconds, host_key_sha256=request.options.host_key_sha256)
    return replace(
        request,
        manifest={"nodes": []},
        options=options,
        idempotency_key=None,
        rollback_of=task_id,
        retry_of=None,
        retry_number=0,
    )


def restart_of(task_id: str | None, request: InstallRequest, packs: Iterable[tuple[str, str]] = ()) -> InstallRequest:
    """The request that only restarts ComfyUI, after the install `request`, which ran as `task_id`. `packs`: name and
    folder of those that the new ComfyUI is to have."""
    options = InstallOptions(
        restart=True, wait_seconds=request.options.wait_seconds, host_key_sha256=request.options.host_key_sha256
    )
    return replace(
        request,
        manifest={"nodes": []},
        options=options,
        idempotency_key=None,
        rollback_of=None,
        restart_of=task_id or JUST_RESTART,
        expected=tuple(packs),
    )


def retry_of(
    task_id: str, request: InstallRequest, ended: Snapshot, only: Collection[str], *, automatic: bool
) -> InstallRequest:
    """The request that repeats what did not end well of `request`, which ran as `task_id`; of that `only` these packs,
    where any are named. Raises NothingToRetry, InvalidRequest for names that it does not have."""
    names = retry.names_to_retry(ended, automatic=automatic)
    if names is None:
        raise NothingToRetry
    chosen = _chosen(request, ended, names, only)
    return replace(
        request,
        manifest=retry.manifest_of(request.manifest, ended, chosen),
        idempotency_key=None,
        retry_of=task_id,
        retry_number=request.retry_number + 1 if automatic else 0,
    )


def _chosen(request: InstallRequest, ended: Snapshot, names: Collection[str], only: Collection[str]) -> tuple[str, ...]:
    if request.rollback_of or request.options.exact or not names:
        if only:
            raise InvalidRequest("This task can only be repeated as a whole.", hint="Leave nodes out.", field="nodes")
        return ()
    for index, name in enumerate(only):
        if name not in ended.nodes:
            raise InvalidRequest(f"The task has no node pack {name[:80]!r}.", field=f"nodes[{index}]")
        if name not in names:
            raise InvalidRequest(f"The node pack {name[:80]!r} ended well.", field=f"nodes[{index}]")
    return retry.with_parents(ended, only or names)


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
        "restart_of": request.restart_of,
        "expected": [{"name": name, "folder": folder} for name, folder in request.expected],
        "remote_days": settings.remote_days,
    }
