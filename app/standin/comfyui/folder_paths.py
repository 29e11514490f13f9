"""Where things are in a ComfyUI, as packs ask for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def _base() -> Path:
    """The folder that `--base-directory` names, else ComfyUI's own."""
    words = [part for word in sys.argv for part in word.split("=", 1)]
    given = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--base-directory"]
    return Path(os.path.abspath(given[-1])) if given else Path(__file__).resolve().parent


base_path = str(_base())
models_dir = str(Path(base_path) / "models")


def get_folder_paths(folder_name: str) -> list[str]:
    """The folders of a kind, `custom_nodes` among them."""
    return [str(Path(base_path) / ("" if folder_name == "custom_nodes" else "models") / folder_name)]
