"""The runner as one file."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from app.remote.packer import APP_FOLDER, pack_runner


def test_it_works(tmp_path: Path) -> None:
    """The file runs with an isolated interpreter, from anywhere."""
    path = tmp_path / pack_runner().name
    path.write_bytes(pack_runner().content)
    argv = [sys.executable, "-I", "-S", str(path), "status", "00000000-0000-0000-0000-000000000000", "--nonce", "77"]
    done = subprocess.run(argv, capture_output=True, timeout=30, check=True, cwd="/", env={"HOME": str(tmp_path)})
    assert b'\x1eNF77 r {"status": "unknown"' in done.stdout


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    """Whatever their dates and the place where they are."""
    copy = tmp_path / "app"
    shutil.copytree(APP_FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copyfile)
    assert pack_runner(copy) == pack_runner()
    (copy / "runner" / "main.py").write_text("changed")
    pack_runner.cache_clear()
    assert pack_runner(copy).name != pack_runner().name


def test_only_what_runs_on_the_instance_is_in_it() -> None:
    names = zipfile.ZipFile(io.BytesIO(pack_runner().content)).namelist()
    assert {name.split("/")[1] for name in names if "/" in name} == {"__init__.py", "protocol", "runner"}
