"""Machines whose ComfyUI is asked, and packs that do things when they are imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app.standin.git_server import GitServer
from app.standin.packs import Pack, make_pack
from test.guard.conftest import box_factory, index, make_box_of
from test.runner.conftest import old_python, rig, rig_factory, uv_rig
from test.runner.rig import Rig, Run, node

__all__ = ["box_factory", "index", "make_box_of", "old_python", "rig", "rig_factory", "uv_rig"]

Verify = Callable[..., Run]
NODES = "NODE_CLASS_MAPPINGS = {'%s': object}\n"


@pytest.fixture
def pack(git_server: GitServer) -> Callable[..., Pack]:
    """Makes a pack: `code` is run when it is imported, before it has its node."""

    def make(name: str, code: str = "", **fields: Any) -> Pack:
        files = {"__init__.py": f"{code}\n{NODES % name}", **fields.pop("files", {})}
        return make_pack(git_server, "o", name, files=files, **fields)

    return make


@pytest.fixture
def verify(rig: Rig) -> Verify:
    """Installs packs and has ComfyUI import them."""

    def run(packs: list[Pack | dict[str, Any]], limits: Mapping[str, Any] | None = None, **options: Any) -> Run:
        nodes = [entry if isinstance(entry, dict) else node(entry) for entry in packs]
        limits = {"retry_waits": [0, 0.05], "import_idle": 20, **(limits or {})}
        return rig.install(nodes, limits=limits, options={"verify": True, **options})

    return run
