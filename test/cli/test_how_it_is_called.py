"""The commands that a hint names work as they are typed where a person reads them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.called_as import RUN_FILE

PYTHON = Path(sys.executable)


def _hint(folder: Path, *script: str, **more: str) -> str:
    """What stands in the hint when no service answers."""
    environ = {**os.environ, "HOME": str(folder), "NODEFERRY_DATA_DIR": str(folder / "data"), **more}
    argv = [str(PYTHON), *script, "tasks", "list", "--server", "http://127.0.0.1:9"]
    done = subprocess.run(argv, env=environ, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    return done.stderr.partition("hint:")[2].strip()


@pytest.mark.parametrize("command", ["docker exec gpu nodeferry", "podman exec -it 'my box' nodeferry"])
def test_in_a_container_it_is_what_the_setting_says(command: str, tmp_path: Path) -> None:
    """Only who starts the container knows how it is reached."""
    assert _hint(tmp_path, str(RUN_FILE), NODEFERRY_COMMAND=command) == f"Start one with: {command} serve"


def test_from_a_checkout_it_is_its_python_and_run_py(tmp_path: Path) -> None:
    """In full from another folder."""
    assert _hint(tmp_path, str(RUN_FILE)) == f"Start one with: {PYTHON} {RUN_FILE} serve"
