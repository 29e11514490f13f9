"""Where root logs in and another user runs ComfyUI, the second round asks it as that user, too."""

from __future__ import annotations

import os

import pytest

from app.protocol.repairs import PackMove
from app.standin.packs import add_commit, make_pack
from test.owner.conftest import OtherBoxFactory, index, other_box_factory
from test.plan.box import states
from test.repair.conftest import code, install, needs, repair_of
from test.runner.rig import node

__all__ = ["index", "other_box_factory"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.registry,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away"),
]


def test_it_works(other_box_factory: OtherBoxFactory) -> None:
    """Packages and commits; packs write into their own folders, and nothing of root's is left in ComfyUI's."""
    box = other_box_factory()
    for version in ("1.0", "2.0"):
        box.index.wheel("lib", version)
    box.have("lib==2.0")
    writes = "open(__file__.replace('__init__.py', 'written'), 'w').close()\n"
    moving = make_pack(box.git, "owner", "moving", **code("moving", writes))
    moving = add_commit(box.git, moving, code("moving", writes + "from comfy import not_in_this_version")["files"])
    run = install(box, box.pack("meant", "lib<2", **code("meant", needs("lib", "1.0"))), node(moving))
    found = repair_of(run)
    assert found.loads == ("meant", "moving"), (found, states(run))
    assert found.packs == (PackMove("moving", moving.commit, moving.commits[0]),)
    owner = box.ui_home.stat().st_uid
    assert owner != 0
    assert {path.lstat().st_uid for path in box.custom_nodes.rglob("*")} == {owner}
