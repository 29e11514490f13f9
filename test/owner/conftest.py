"""Machines on which root logs in and another user owns and runs ComfyUI."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.standin.environment import make_environment
from app.standin.git_server import GitServer
from app.standin.other_user import give_away, python_for_all
from test.plan.box import Box
from test.plan.conftest import index
from test.support.package_index import PackageIndex

__all__ = ["index"]


class BoxWithout(Box):
    """A machine whose root lacks capabilities, as setpriv(1) takes them."""

    capability = ""

    def argv(self, command: str, task_id: str, *options: str) -> list[str]:
        """As usual, or by setpriv(1)."""
        limited = ["setpriv", f"--bounding-set={self.capability}"] if self.capability else []
        return [*limited, *super().argv(command, task_id, *options)]


OtherBoxFactory = Callable[..., Box]


@pytest.fixture
def other_box_factory(
    pyz: Path, uv_program: Path, git_server: GitServer, index: PackageIndex, make_once: Callable[..., Path]
) -> Iterator[OtherBoxFactory]:
    """Makes machines whose ComfyUI is another user's, in a folder that all may look into: pytest's own is root's.
    `venv_of_root`: the environment is root's, beside ComfyUI's folder. `without`: capabilities that root does not have
    there, as in most containers."""
    made: list[tuple[Box, Path]] = []

    def make(*, venv_of_root: bool = False, with_pip: bool = False, without: str = "") -> Box:
        root = Path(tempfile.mkdtemp(prefix="nodeferry-other-user-"))
        root.chmod(0o755)
        box = BoxWithout(root, pyz, sys.executable, venv=False)
        box.capability = without
        made.append((box, root))
        box.home.chmod(0o700)
        folder = root / "venv" if venv_of_root else box.ui_home / "venv"
        box.environment = make_environment(folder, with_pip=with_pip, python=python_for_all())
        box.environ["PATH"] = f"{uv_program.parent}:/usr/bin:/bin"
        box.use(git_server, index, uv_program)
        give_away(box.ui_home)
        return box

    yield make
    for box, root in made:
        box.end()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def box(other_box_factory: OtherBoxFactory) -> Box:
    """A machine whose ComfyUI, with its environment, is another user's."""
    return other_box_factory()
