"""Where things are in a ComfyUI, as packs ask for it."""

from __future__ import annotations

from pathlib import Path

base_path = str(Path(__file__).resolve().parent)
models_dir = str(Path(base_path) / "models")


def get_folder_paths(folder_name: str) -> list[str]:
    """The folders of a kind, `custom_nodes` among them."""
    return [str(Path(base_path) / ("" if folder_name == "custom_nodes" else "models") / folder_name)]
