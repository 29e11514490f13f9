"""ComfyUI, its environment and its packs came with a container's image and are another user's: what is undone there
is theirs again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.standin.other_user import give_away, of_others, unreadable
from test.plan import test_half_done
from test.plan.box import Box
from test.plan.test_half_done import OLD, all_newer, first_files, left_behind, there
from test.runner.image import of_the_image
from test.support.uv_faults import FaultyUv
from test.support.waiting import wait_until

pytestmark = [
    pytest.mark.registry,  # uv itself comes from there; the packages do not
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away"),
]
old = test_half_done.old
faulty = test_half_done.faulty


@pytest.mark.parametrize("end", ["cancelled", "killed"])
def test_a_change_that_is_undone_leaves_the_packages_theirs(box: Box, old: Path, faulty: FaultyUv, end: str) -> None:
    """Also by the sweep of a killed run: files, folders and modes are as they were."""
    private = old / "attrz" / "part7.py"
    private.chmod(0o640)
    give_away(box.ui_home)
    with of_the_image(box):
        faulty.plan("stop", watched=first_files(old))
        run = box.start(all_newer(box))
        wait_until(lambda: faulty.stopped, 30, "uv stands still")
        if end == "killed":
            run.kill_runner()
            run.sweep()
        else:
            run.cancel()
        assert there(old) == OLD
        assert left_behind(old) == []
        assert private.stat().st_mode & 0o777 == 0o640
        assert of_others(box.ui_home) == []
        assert unreadable(box.ui_home) == []
