"""Folders in custom_nodes that are known to be malicious: told, left as they are, and not imported."""

from __future__ import annotations

from app.runner.context import Context
from app.runner.packs.installed import scan
from app.runner.policies.known_bad import warn_of_folder
from app.runner.policies.withheld import withheld


def withhold_known_bad(context: Context) -> None:
    """Looks through all folders that ComfyUI loads packs from."""
    for folder in (context.custom_nodes, *context.layout.others):
        for each in scan(folder):
            if warn_of_folder(context, each.path.name, each.address) and not each.disabled:
                withheld(context).add(each.path.name)
