"""What a ComfyUI's command line says about where its packs are, and which it loads.

Source: ComfyUI's cli_args.py (argparse, so that an option may be cut short and may carry its value behind `=`),
folder_paths.py and main.py (`apply_custom_paths`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

QUICK_TEST = "--quick-test-for-ci"
_SHORTEST: Dict[str, str] = {
    "--base-directory": "--base",
    "--extra-model-paths-config": "--ext",
    "--disable-all-custom-nodes": "--disable-al",
    "--whitelist-custom-nodes": "--wh",
}
"""The options that matter here, and the least of each that no other option begins with too."""
_MOST_VALUES = 1000


@dataclass(frozen=True)
class LaunchOptions:
    """Folders are absolute. `base_directory`: where custom_nodes, models, input, output and user are, None for
    ComfyUI's own folder; `extra_configs`: further files like extra_model_paths.yaml; `without_packs`: it loads none
    but those of `whitelist`."""

    base_directory: Optional[Path] = None
    extra_configs: Tuple[Path, ...] = ()
    without_packs: bool = False
    whitelist: Tuple[str, ...] = ()


def launch_options(words: Sequence[str], cwd: str) -> LaunchOptions:
    """What these words behind `main.py` say; `cwd`: the folder that relative paths start from. Whatever they are, it is
    no error: they are another program's."""
    values: Dict[str, List[str]] = {}
    current: List[str] = []
    bases: List[List[str]] = []
    for word in words[:_MOST_VALUES]:
        if word.startswith("-"):
            name, has_value, value = word.partition("=")
            current = values.setdefault(_full(name), [])
            if _full(name) == "--base-directory":
                current = []
                bases.append(current)
            current += [value] if has_value else []
        else:
            current.append(word)

    base = bases[-1][0] if bases and bases[-1] else ""
    configs = values.get("--extra-model-paths-config", [])
    return LaunchOptions(
        Path(os.path.abspath(os.path.join(cwd, base))) if base else None,
        tuple(Path(os.path.abspath(os.path.join(cwd, path))) for path in configs),
        "--disable-all-custom-nodes" in values,
        tuple(values.get("--whitelist-custom-nodes", [])),
    )


def _full(name: str) -> str:
    """The whole name of an option that may be cut short."""
    for full, shortest in _SHORTEST.items():
        if full.startswith(name) and name.startswith(shortest):
            return full
    return name
