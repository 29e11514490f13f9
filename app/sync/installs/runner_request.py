"""From a request to what its task does, and to the requests that follow it: retry, rollback, repair, restart. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from app.domain import asked_for, retry
from app.domain.errors import InvalidRequest, NothingToRetry
from app.domain.request import InstallRequest, Request, RestartRequest, RollbackRequest
from app.protocol.lockfile import read_lock
from app.protocol.options import RESTART, RETRY, ROLLBACK, Options
from app.protocol.policies import laxer
from app.protocol.repairs import Repair, lock_of
from app.protocol.snapshot import Node, Snapshot
from app.settings import Settings, known_bad_of
from app.sync.installs.install_spec import InstallSpec
from app.version import VERSION


def spec_of(task_id: str, request: Request, settings: Settings) -> InstallSpec:
    """What the task is to do, and what the runner's `start` reads for it; the default manifest filled in."""
    options, kind = request.options, request.kind_fields()
    default = {"repo": settings.auto_installer_repo, "path": settings.auto_installer_path, "ref": None}
    return InstallSpec(
        address=request.address,
        host_key_sha256=options.host_key_sha256,
        wait_seconds=settings.wait_seconds if options.wait_seconds is None else options.wait_seconds,
        stall_seconds=settings.stall_seconds,
        question_seconds=settings.question_seconds,
        runner_request={
            "task_id": task_id,
            "ui_home": request.ui_home,
            "venv_path": request.venv_path,
            "options": options.for_runner(),
            "schemes": list(settings.allowed_git_schemes),
            "version": VERSION,
            "remote_days": settings.remote_days,
            "registry_url": settings.registry_url,
            "policies": settings.policies.to_json(),
            "known_bad": known_bad_of(Path(settings.known_bad_file)) if settings.known_bad_file else [],
            "limits": {
                "question": settings.question_seconds,
                "repository_bytes": settings.max_repository_bytes,
            },
            **kind,
            "manifest": default if kind["manifest"] is None else kind["manifest"],
            "expected": [{"name": name, "folder": folder} for name, folder in kind["expected"]],
        },
    )


def check_policies(request: Request, settings: Settings) -> None:
    """Raises InvalidRequest where a new install wants laxer policies than the service's."""
    if not isinstance(request, InstallRequest) or request.retry_of is not None:
        return  # what follows a task keeps its words; the stricter ones hold
    words = laxer(request.options.policies, settings.policies)
    if words:
        own = settings.policies.to_json()[words[0].partition("=")[0]]
        raise InvalidRequest(
            f"{words[0]} is laxer than this service's own policy, which is {own}.",
            hint="Leave it out. Whoever runs the service sets its policies; a request can only be stricter.",
            field="options.policies",
        )


def rollback_of(task_id: str, request: InstallRequest) -> RollbackRequest:
    """The request that undoes the install `request`, which ran as `task_id`."""
    options = request.options.kept_by(ROLLBACK)
    return RollbackRequest(
        request.ssh_connection, request.address, request.ui_home, request.venv_path, options, rollback_of=task_id
    )


def repair_of(
    request: InstallRequest, found: Repair, nodes: Mapping[str, Node], schemes: Collection[str]
) -> InstallRequest:
    """The install of exactly what the second round of the install `request` has `found`: a lock. `nodes`: its packs by
    name. Raises ManifestFault for what no lock may say."""
    lock = lock_of(found, asked_for.nodes_asked_for(request.manifest, nodes, schemes))
    read_lock(lock, schemes)
    options = replace(request.options.kept_by(RETRY), existing="keep", exact=False, plan_only=False, auto_retry=0)
    return replace(
        request, manifest={"lock": lock}, options=options, idempotency_key=None, retry_of=None, retry_number=0
    )


def restart_of(task_id: str | None, request: Request, packs: Iterable[tuple[str, str]] = ()) -> RestartRequest:
    """The request that only restarts ComfyUI, after the task `request`, which ran as `task_id`. `packs`: name and
    folder of those that the new ComfyUI is to have."""
    return RestartRequest(
        request.ssh_connection,
        request.address,
        request.ui_home,
        request.venv_path,
        replace(request.options.kept_by(RESTART), restart=True),
        restart_of=task_id,
        expected=tuple(packs),
    )


def retry_of(
    task_id: str,
    request: Request,
    ended: Snapshot,
    only: Collection[str],
    *,
    automatic: bool,
    schemes: Collection[str],
) -> Request:
    """The request that repeats what did not end well of `request`, which ran as `task_id`; of that `only` these packs,
    where any are named. Raises NothingToRetry, InvalidRequest for names that it does not have."""
    names = retry.names_to_retry(ended, automatic=automatic)
    if names is None:
        raise NothingToRetry
    chosen = _chosen(request, ended, names, only)
    if isinstance(request, InstallRequest):
        manifest = retry.manifest_of(request.manifest, ended, chosen, schemes)
        home = request.ui_home
        if request.options.which_comfyui != Options().which_comfyui:  # what was decided for the first is not guessed
            home = asked_for.home(ended.probe.get("ui_home"), home)
        request = replace(request, manifest=manifest, ui_home=home)
    return replace(
        request,
        options=request.options.kept_by(RETRY),
        idempotency_key=None,
        retry_of=task_id,
        retry_number=request.retry_number + 1 if automatic else 0,
    )


def _chosen(request: Request, ended: Snapshot, names: Collection[str], only: Collection[str]) -> tuple[str, ...]:
    if isinstance(request, RollbackRequest) or request.options.exact or not names:
        if only:
            raise InvalidRequest(
                "This task can only be retried as a whole.", hint="Send the request without nodes.", field="nodes"
            )
        return ()
    for index, name in enumerate(only):
        if name not in ended.nodes:
            raise InvalidRequest(f"The task has no node pack {name[:80]!r}.", field=f"nodes[{index}]")
        if name not in names:
            raise InvalidRequest(
                f"The node pack {name[:80]!r} did not fail, so it is not retried.", field=f"nodes[{index}]"
            )
    return retry.with_parents(ended, only or names)
