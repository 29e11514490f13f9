"""Packs that are in another folder than custom_nodes, from which ComfyUI loads packs too (extra_model_paths.yaml).

A second copy would load the same nodes twice. Such a pack is kept as it is: several ComfyUIs may share that folder.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional

from app.protocol.manifest import NodePack
from app.protocol.repo_identity import same_repo
from app.protocol.snapshot import Problem
from app.runner.context import Context, PackResult
from app.runner.packs import existing
from app.runner.packs.installed import Kind, scan
from app.runner.packs.manager_copies import is_copy


def settle(context: Context, result: PackResult) -> bool:
    """Whether the pack is in another folder, and so is not cloned: then `result` says what became of it."""
    found = _copy_of(context, result.pack)
    if found is None:
        return False
    if context.options.existing != "keep" or not (found / ".git").exists():
        text = "The pack is in %s, from which ComfyUI loads packs too (%s). It was left untouched."
        hint = "Update it there by hand, or move it away, then start again."
        result.problem = Problem("pack_elsewhere", text % (found, context.layout.source), hint)
        return True
    result.folder, result.pack = found, replace(result.pack, subfolder=found.name)
    existing.stays(context, result)
    return True


def _copy_of(context: Context, pack: NodePack) -> Optional[Path]:
    if "/" in pack.folder:
        return None
    for folder in context.layout.others:
        for each in scan(folder):
            copy = is_copy(each.path) and each.path.name.lower() == pack.folder.lower()
            is_clone = each.kind is Kind.CLONE and same_repo(each.address, pack.repo_url)
            if not each.disabled and (copy or is_clone):
                return each.path
    return None
