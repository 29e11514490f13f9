"""What ComfyUI takes for a pack and is none."""

from __future__ import annotations

from typing import Mapping

from app.runner.comfyui.output import Import
from app.runner.context import Context
from app.runner.packs.new_folders import warn_of


def warn_of_what_no_pack_owns(context: Context, imports: Mapping[str, Import]) -> None:
    """Of the folders that ComfyUI could not import, those in which nothing is that makes a pack."""
    warn_of(context, [name for name, found in imports.items() if not found.good])
