"""The manifest phase: the list of packs, from the request or from a repository that is cloned on the instance."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any, List, Mapping

from app.protocol.events import ManifestRead
from app.protocol.lockfile import read_lock
from app.protocol.manifest import ManifestFault, NodePack, parse_csv, parse_nodes, parse_urls, split_source
from app.protocol.states import StepStatus
from app.protocol.task_list import CLONE_AUTO_INSTALLER
from app.runner.context import Context
from app.runner.packs.checkout import clone_into, with_retries
from app.runner.process.errors import RunFault


def read_manifest(context: Context) -> List[NodePack]:
    """The packs to install; tells them. Raises RunFault when there is no list to be had."""
    schemes = context.request.get("schemes") or ["https", "ssh"]
    try:
        form, value = split_source(context.request.get("manifest"))
        if form == "repo":
            packs = _from_repository(context, value, schemes)
        elif form == "lock":
            packs = list(read_lock(value, schemes).packs)
        else:
            packs = {"csv": parse_csv, "nodes": parse_nodes, "urls": parse_urls}[form](value, schemes)
    except (ManifestFault, KeyError) as exc:
        raise RunFault(
            "invalid_manifest", "The list of packs is not valid: %s" % exc, "Correct it, then start again."
        ) from None
    context.journal.emit(ManifestRead(form, tuple(packs)))
    return packs


def _from_repository(context: Context, source: Mapping[str, Any], schemes: List[str]) -> List[NodePack]:
    started = time.monotonic()
    context.step(CLONE_AUTO_INSTALLER, StepStatus.RUNNING, source["repo"])
    try:
        text = _fetch(context, source)
        packs = parse_csv(text, schemes, source["path"])
    except (RunFault, ManifestFault) as exc:
        context.step(CLONE_AUTO_INSTALLER, StepStatus.FAILED, str(exc), _since(started))
        raise
    context.step(CLONE_AUTO_INSTALLER, StepStatus.SUCCESS, "%d node packs listed" % len(packs), _since(started))
    return packs


def _fetch(context: Context, source: Mapping[str, Any]) -> str:
    """The text of the list. The clone is for this run only: what an older one held is never read."""
    target = context.task.folder / "manifest"
    shutil.rmtree(str(target), ignore_errors=True)
    problem = with_retries(
        context,
        context.task.folder / "manifest.log",
        lambda git: clone_into(git, source["repo"], source.get("ref"), target),
    )
    if problem is not None:
        message = "The list of node packs could not be fetched from %s: %s" % (source["repo"], problem.message)
        raise RunFault("manifest_unavailable", message, problem.hint)
    try:
        return _read(source, target)
    finally:
        shutil.rmtree(str(target), ignore_errors=True)


def _read(source: Mapping[str, Any], target: Path) -> str:
    path: Path = (target / source["path"]).resolve()
    if target.resolve() not in path.parents or not path.is_file():
        raise RunFault(
            "manifest_unavailable",
            "The repository %s has no file %s." % (source["repo"], source["path"]),
            "Correct the manifest's path.",
        )
    return path.read_bytes().decode("utf-8-sig", "replace")


def _since(started: float) -> float:
    return round(time.monotonic() - started, 1)
