"""The lock of a run, told at its end; and, where a lock was asked for, how what is there compares with that one."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from app.protocol.events import LockMade
from app.protocol.lockfile import FORMAT
from app.protocol.package_sources import without_login
from app.runner.context import Context, PackResult
from app.runner.lock.compare import some
from app.runner.lock.lock import Locked
from app.runner.lock.origins import described, with_logins
from app.runner.lock.overlaps import CHANGED, overlaps_in
from app.runner.lock.this_machine import torch_of
from app.runner.packs import git_leftovers
from app.runner.packs.installed import is_registry_copy, project_version
from app.runner.packs.pack_files import DEFAULT_REQUIREMENTS
from app.runner.requirements.files import read_file
from app.runner.requirements.lines import canonical
from app.runner.resolve.packs_with_own_sources import PacksWithOwnSources

_DISABLED: Mapping[bool, Mapping[str, bool]] = {True: {"disabled": True}, False: {}}
_LOGIN_HINT = "Before you install the lock elsewhere, set up git's credentials or a .netrc on that instance."


def emit_lock(context: Context, results: Sequence[PackResult], locked: Optional[Locked]) -> None:
    """Tells the lock of what the run leaves; the environment was inspected a moment ago, for the rollback record.
    Raises RunCancelled."""
    python = context.environment
    torch, cuda = torch_of(python) if python else (None, None)
    distributions = python.distributions if python else {}
    overlaps = [each for each in overlaps_in(python.paths) if each.on_top != CHANGED] if python else []
    indexes, find_links = _places_of(context, results)
    probe = context.journal.snapshot.probe
    lock = {
        "format": FORMAT,
        "ui_home": str(context.ui_home),
        "comfyui_commit": probe.get("comfyui_commit"),
        "interpreter": python.executable if python else None,
        "python": python.version if python else None,
        "torch": {"version": torch, "cuda": cuda} if torch else None,
        "gpu": probe.get("gpu"),
        "driver": probe.get("driver"),
        "system": probe.get("system"),
        "machine": os.uname().machine,
        "node_packs": [found for found in (_pack(context, result) for result in results) if found],
        **described(distributions),
        "overlaps": [asdict(each) for each in overlaps],
        "indexes": indexes,
        "find_links": find_links,
        "from_places": sorted(_from_places(context, locked)) if indexes or find_links else [],
        "compared": locked.compared(results, python) if locked else None,
    }
    context.journal.emit(LockMade(lock))
    logins = with_logins(distributions)
    if logins:
        text = "The lock names where these packages came from without the login that was in the address: %s." % (
            some(logins, ", ")
        )
        context.warn("lock_without_login", text, _LOGIN_HINT)


def _from_places(context: Context, locked: Optional[Locked]) -> Set[str]:
    """The packages that come from those locations."""
    packages = context.packages
    known = PacksWithOwnSources.of(context).origins(packages)
    planned = context.journal.snapshot.plan or ()
    known |= {
        canonical(each.package) for each in planned if each.source and packages.get(canonical(each.package)) == each.new
    }
    return known | (locked.from_places(packages) if locked else set())


def _places_of(context: Context, results: Sequence[PackResult]) -> Tuple[List[str], List[str]]:
    """The indexes and pages of links that packs' own requirements name, without their logins."""
    indexes: Set[str] = set()
    pages: Set[str] = set()
    for result in results:
        if result.pack.disabled:
            continue
        folder = context.custom_nodes / result.pack.folder
        path = folder / (result.pack.requirements_file or DEFAULT_REQUIREMENTS)
        try:
            locations = read_file(path, folder).options.locations
        except OSError:
            continue
        for place in locations:
            if place.is_remote:
                (indexes if place.is_index else pages).add(without_login(place.address))
    return sorted(indexes), sorted(pages)


def _pack(context: Context, result: PackResult) -> Optional[Dict[str, Any]]:
    """What is there now: a pack that a rollback took away is not."""
    pack = result.pack
    is_there = result.is_cloned or result.is_put_aside
    commit = context.git().head(result.folder) if is_there else None
    if commit is None:
        return _of_registry(result) if is_there and is_registry_copy(result.folder) else None
    if not pack.repo_url:  # kept where the list asks for the registry's version
        pack = replace(pack, repo_url=git_leftovers.origin(context.git(), result.folder))
    return {
        "name": pack.name,
        "repo_url": pack.repo_url,
        "folder": pack.folder,
        "requirements_file": pack.requirements_file,
        "commit": commit,
        **_DISABLED[pack.disabled],
    }


def _of_registry(result: PackResult) -> Optional[Dict[str, Any]]:
    """A pack of the registry: what brings it again is its id and its version; the hash where this run has fetched
    it."""
    pack = result.pack
    version = (project_version(result.folder) or pack.version) if result.kept else result.version
    if not (pack.registry_id and version):
        return None
    return {
        "name": pack.name,
        "repo_url": pack.repo_url or None,
        "folder": pack.folder,
        "requirements_file": pack.requirements_file,
        "registry_id": pack.registry_id,
        "version": version,
        "archive_sha256": None if result.kept else pack.archive_sha256 or None,
        **_DISABLED[pack.disabled],
    }
