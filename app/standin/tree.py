"""The ComfyUI-shaped folder of a stand-in."""

from __future__ import annotations

import shutil
from pathlib import Path

_TEMPLATE = Path(__file__).resolve().parent / "comfyui"
_FOLDERS = ("custom_nodes", "models/checkpoints", "input", "output", "user/default")


def write_tree(ui_home: Path, *, coloured_log: bool = False) -> None:
    """Make a ComfyUI without packs at `ui_home`. `coloured_log`: as newer versions write it."""
    shutil.copytree(_TEMPLATE, ui_home, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in _FOLDERS:
        (ui_home / folder).mkdir(parents=True)
    if coloured_log:
        main = ui_home / "main.py"
        main.write_text(main.read_text("utf-8").replace("COLOURED_LOG = False", "COLOURED_LOG = True"), "utf-8")
