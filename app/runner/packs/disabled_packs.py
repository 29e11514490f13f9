"""Packs that a list has disabled: they are brought to where ComfyUI-Manager has disabled packs, in the form in which it
finds and enables them again. Nothing is installed for them, no code of theirs runs, and ComfyUI does not load them.

Manager's forms: `custom_nodes/.disabled/NAME` for a repository that the registry does not know, `ID@nightly` for one
that it knows, `ID@1_2_3` for a version of the registry. It tells them apart by what is in the folder.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import List, Sequence, Set

from app.protocol.events import NodeChanged
from app.protocol.manifest import DISABLED_FOLDER, NodePack, is_path
from app.protocol.repo_identity import same_repo
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState
from app.runner.context import Context, PackResult
from app.runner.packs.installed import Installed, Kind, project_version
from app.runner.packs.registry_versions import same_version

_ENABLE = "ComfyUI does not load it. To use it, enable it in ComfyUI-Manager, which installs what it needs."


def where_they_are(packs: Sequence[NodePack], folders: Sequence[Installed]) -> List[NodePack]:
    """The packs; disabled ones that are there already, disabled, with the folder in which they are."""
    taken: Set[str] = {pack.folder for pack in packs}
    return [_where_it_is(pack, folders, taken) if pack.disabled else pack for pack in packs]


def _where_it_is(pack: NodePack, folders: Sequence[Installed], taken: Set[str]) -> NodePack:
    """`taken`: the folders that packs of the list have."""
    name = next((each.path.name for each in folders if _is_it(each, pack)), "")
    found = replace(pack, subfolder=name) if is_path(name) and name != pack.folder.rpartition("/")[2] else pack
    if found.folder in taken:
        return pack
    taken.add(found.folder)
    return found


def _is_it(each: Installed, pack: NodePack) -> bool:
    if each.path.parent.name != DISABLED_FOLDER:
        return False
    if not pack.registry_id:
        return each.kind is Kind.CLONE and same_repo(each.address, pack.repo_url)
    is_named = _bare(each.project or each.name) == _bare(pack.registry_id)
    return each.kind is Kind.REGISTRY and is_named and same_version(project_version(each.path), pack.version)


def folder_for(context: Context) -> Path:
    """The folder of disabled packs, which is made where it is not there. From any thread."""
    folder = context.custom_nodes / DISABLED_FOLDER
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        context.own(folder)
    return folder


def is_enabled(folder: Path) -> Problem:
    """The reason why a pack is not put aside: it is there, and ComfyUI loads it."""
    text = "The list has it disabled, and it is enabled here: custom_nodes/%s. It was left untouched." % folder.name
    return Problem("pack_enabled", text, "Disable it in ComfyUI-Manager if you do not want it.")


def end(context: Context, result: PackResult) -> None:
    """The pack is where it should be: that is its end."""
    problem = _planned() if context.options.plan_only else _done(context, result)
    name, commit, version = result.pack.name, result.commit, result.version
    context.journal.emit(
        NodeChanged(name, NodeState.SKIPPED, problem, commit=commit, kept=result.kept, version=version)
    )


def _planned() -> Problem:
    return Problem("plan_only", "It was only planned: it would be put aside, disabled. Nothing was changed.")


def _done(context: Context, result: PackResult) -> Problem:
    where = result.folder.relative_to(context.custom_nodes).as_posix()
    lacking = " %s" % result.incomplete.message if result.incomplete else ""
    if result.kept:
        text = "It was there already, disabled, as the list has it: custom_nodes/%s.%s" % (where, lacking)
        return Problem("put_aside_disabled", text, _ENABLE)
    text = "Put aside, disabled, as the list has it: custom_nodes/%s.%s" % (where, lacking)
    return Problem("put_aside_disabled", text, _ENABLE)


def _bare(name: str) -> str:
    return re.sub(r"[-_. ]+", "-", name.strip().lower())
