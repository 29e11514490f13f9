"""Node packs as ComfyUI-Manager leaves them: what a run asks about."""

from __future__ import annotations

from pathlib import Path


def put_registry_copy(custom_nodes: Path, name: str) -> Path:
    """A pack that Manager has from the registry: no repository, and a list of what came with it."""
    folder = custom_nodes / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    (folder / ".tracking").write_text("__init__.py")
    return folder


def put_unpacked(custom_nodes: Path, name: str) -> Path:
    """A pack as the ZIP of its main branch is unpacked."""
    folder = custom_nodes / f"{name}-main"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    return folder


def put_disabled(custom_nodes: Path, name: str) -> Path:
    """A pack that somebody disabled."""
    folder = custom_nodes / f"{name}.disabled"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    return folder
