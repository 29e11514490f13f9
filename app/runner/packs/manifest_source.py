"""The manifest phase: the list of packs, from the request or from a repository that is cloned on the instance."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any, Callable, List, Mapping, Sequence

from app.protocol.events import ManifestRead
from app.protocol.lockfile import read_lock, read_told
from app.protocol.manifest import ManifestFault, NodePack, parse_csv, parse_nodes, parse_urls, split_source
from app.protocol.refs import TREE
from app.protocol.states import StepStatus
from app.protocol.task_list import CLONE_AUTO_INSTALLER
from app.runner.context import Context
from app.runner.packs.checkout import clone_into, with_retries
from app.runner.packs.pasted_ref import RefNotSettled, folder_in, meant
from app.runner.packs.workflow_needs import settle_needs
from app.runner.process.errors import RunFault
from app.runner.process.git_environ import schemes_of

_MOST_TOLD = 20
_LIST = "The log of the list says why. Its addresses can also be pasted, or given as a file."


def read_manifest(context: Context) -> List[NodePack]:
    """The packs to install; tells them. Raises RunFault when there is no list to be had."""
    schemes = schemes_of(context.request)
    try:
        form, value = split_source(context.request.get("manifest"))
        if form == "repo":
            packs = _from_repository(context, value, schemes)
        elif form == "lock":
            packs = list(read_lock(value, schemes).packs)
        else:
            parse = {"csv": parse_csv, "nodes": parse_nodes, "urls": parse_urls}[form]
            packs = parse(value, schemes, "manifest.%s" % form, _repeated(context))
        packs = settle_needs(context, packs, schemes)
    except (ManifestFault, KeyError) as exc:
        raise RunFault(
            "invalid_manifest", "The list of packs is not valid: %s" % exc, "Correct it, then start again."
        ) from None
    context.journal.emit(ManifestRead(form, tuple(packs)))
    if form == "nodes":
        _tell_left_out(context)
    return packs


def _tell_left_out(context: Context) -> None:
    """What the file that the list was made from names, and is not in the list."""
    left_out, remarks = read_told(context.request["manifest"], "manifest")
    for entry in left_out[:_MOST_TOLD]:
        name = " ".join(filter(None, (entry["name"], entry["version"])))
        context.warn("entry_left_out", "%s was left out: %s" % (name, entry["reason"]))
    if len(left_out) > _MOST_TOLD:
        context.warn("entry_left_out", "%d more entries of the file were left out." % (len(left_out) - _MOST_TOLD))
    for text in remarks[:_MOST_TOLD]:
        context.warn("snapshot_remark", text)


def _repeated(context: Context) -> Callable[[NodePack], None]:
    """Tells of an entry that was left out."""

    def tell_repeated(pack: NodePack) -> None:
        text = "The list has %s twice, the second time as %s. It is installed once." % (pack.name, pack.repo_url)
        context.warn("listed_twice", text)

    return tell_repeated


def _from_repository(context: Context, source: Mapping[str, Any], schemes: Sequence[str]) -> List[NodePack]:
    started = time.monotonic()
    context.step(CLONE_AUTO_INSTALLER, StepStatus.RUNNING, source["repo"])
    try:
        text = _fetch(context, source)
        packs = parse_csv(text, schemes, source["path"], _repeated(context))
    except (RunFault, ManifestFault) as exc:
        context.step(CLONE_AUTO_INSTALLER, StepStatus.FAILED, str(exc), _since(started))
        raise
    context.step(CLONE_AUTO_INSTALLER, StepStatus.SUCCESS, "%d node packs listed" % len(packs), _since(started))
    return packs


def _fetch(context: Context, source: Mapping[str, Any]) -> str:
    """The text of the list. The clone is for this run only: what an older one held is never read."""
    target = context.task.folder / "manifest"
    log = context.task.folder / "manifest.log"
    shutil.rmtree(str(target), ignore_errors=True)
    ref = source.get("ref")
    problem = None
    try:
        if ref and ref.startswith(TREE):
            ref = meant(context, source["repo"], ref, log, context.task.folder)
    except RefNotSettled as exc:
        problem = exc.problem
    problem = problem or with_retries(context, log, lambda git: clone_into(git, source["repo"], ref, target))
    if problem is not None:
        message = "The list of node packs could not be fetched from %s: %s" % (source["repo"], problem.message)
        raise RunFault("manifest_unavailable", message, _LIST if problem.code == "git_failed" else problem.hint)
    try:
        return _read(source, target, folder_in(source["path"], ref) or source["path"])
    finally:
        shutil.rmtree(str(target), ignore_errors=True)


def _read(source: Mapping[str, Any], target: Path, name: str) -> str:
    path: Path = (target / name).resolve()
    if target.resolve() not in path.parents or not path.is_file():
        raise RunFault(
            "manifest_unavailable",
            "The repository %s has no file %s." % (source["repo"], name),
            "Correct the manifest's path.",
        )
    return path.read_bytes().decode("utf-8-sig", "replace")


def _since(started: float) -> float:
    return round(time.monotonic() - started, 1)
