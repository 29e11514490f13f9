"""The stand-in's ComfyUI imports packs as ComfyUI does and says what ComfyUI says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.standin.environment import make_environment
from app.standin.tree import write_tree

GOOD = "NODE_CLASS_MAPPINGS = {'Good': object}\n"


@dataclass(frozen=True)
class ComfyUI:
    """A tree and its interpreter."""

    home: Path
    python: Path

    def add(self, name: str, text: str, file: str = "__init__.py") -> None:
        """Put a pack, or another file of one, there."""
        (self.home / "custom_nodes" / name).mkdir(exist_ok=True)
        (self.home / "custom_nodes" / name / file).write_text(text)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A quick test; both streams in `stdout`."""
        command = [str(self.python), "main.py", "--quick-test-for-ci", *arguments]
        return subprocess.run(
            command, cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60
        )


@pytest.fixture
def comfyui(tmp_path: Path) -> ComfyUI:
    """A ComfyUI without packs."""
    write_tree(tmp_path / "ComfyUI")
    return ComfyUI(tmp_path / "ComfyUI", make_environment(tmp_path / "venv", with_pip=False).python)


def test_it_works(comfyui: ComfyUI) -> None:
    """A pack that imports has its line in the table, with its seconds and its whole path."""
    comfyui.add("pack", GOOD)
    done = comfyui.run("--cpu")
    assert done.returncode == 0
    line = re.escape(f" seconds: {comfyui.home}/custom_nodes/pack")
    assert re.search(rf"\nImport times for custom nodes:\n {{3}}\d\.\d{line}\n", done.stdout)


def test_a_failure_is_told_with_its_traceback_and_reason(comfyui: ComfyUI) -> None:
    """Traceback, `Cannot import`, and a marked line in the table; the others are imported, the exit status is 0."""
    comfyui.add("good", GOOD)
    comfyui.add("bad", "import no_such_module\n")
    done = comfyui.run("--cpu")
    bad = comfyui.home / "custom_nodes" / "bad"
    assert done.returncode == 0
    assert "ModuleNotFoundError: No module named 'no_such_module'\n" in done.stdout
    assert f"Cannot import {bad} module for custom nodes: No module named 'no_such_module'\n" in done.stdout
    assert f" seconds (IMPORT FAILED): {bad}\n" in done.stdout
    assert f" seconds: {comfyui.home}/custom_nodes/good\n" in done.stdout


def test_a_pack_without_nodes_counts_as_failed(comfyui: ComfyUI) -> None:
    """No NODE_CLASS_MAPPINGS: skipped, and marked in the table."""
    comfyui.add("empty", "")
    out = comfyui.run("--cpu").stdout
    assert "due to the lack of NODE_CLASS_MAPPINGS" in out
    assert "(IMPORT FAILED)" in out


def test_what_is_disabled_or_no_module_is_not_imported(comfyui: ComfyUI) -> None:
    """Names that end in `.disabled`, other files and `__pycache__` are passed over; a single .py file is a pack."""
    crash = "import os; os._exit(9)\n"
    for name in (".nodeferry-x.disabled", "old.disabled", "__pycache__"):
        comfyui.add(name, crash)
    (comfyui.home / "custom_nodes" / "notes.txt").write_text(crash)
    (comfyui.home / "custom_nodes" / "single.py").write_text(GOOD)
    done = comfyui.run("--cpu")
    assert done.returncode == 0
    assert done.stdout.count(" seconds: ") == 1


def test_custom_nodes_can_be_switched_off_but_for_some(comfyui: ComfyUI) -> None:
    """All off: none is run, nor its prestartup script; a whitelist lets its names through."""
    comfyui.add("one", GOOD)
    comfyui.add("two", GOOD)
    comfyui.add("two", "print('early')\n", file="prestartup_script.py")
    off = comfyui.run("--cpu", "--disable-all-custom-nodes").stdout
    assert "Import times" not in off
    assert "early" not in off
    some = comfyui.run("--cpu", "--disable-all-custom-nodes", "--whitelist-custom-nodes", "two").stdout
    assert "early" in some
    assert "Skipping one due to disable_all_custom_nodes" in some
    assert some.count(" seconds: ") == 2  # prestartup and import


def test_prestartup_scripts_run_first_and_may_fail(comfyui: ComfyUI) -> None:
    """They run before any import, and a failure is told."""
    comfyui.add("pack", "print('imported')\n" + GOOD)
    comfyui.add("pack", "print('early')\nraise ValueError('no')\n", file="prestartup_script.py")
    out = comfyui.run("--cpu", "--log-stdout").stdout
    assert out.index("early") < out.index("Failed to execute startup-script")
    assert out.index("(PRESTARTUP FAILED)") < out.index("imported")


def test_a_pack_can_bring_everything_down(comfyui: ComfyUI) -> None:
    """`sys.exit` in a pack ends ComfyUI before its table, as it does the real one."""
    comfyui.add("rude", "import sys; sys.exit(3)\n")
    done = comfyui.run("--cpu")
    assert done.returncode == 3
    assert "Import times" not in done.stdout


def test_without_a_gpu_it_needs_to_be_told(comfyui: ComfyUI) -> None:
    """No --cpu, no start."""
    done = comfyui.run()
    assert done.returncode != 0
    assert "Found no NVIDIA driver" in done.stdout


def test_a_test_run_leaves_the_users_own_database_alone(comfyui: ComfyUI, tmp_path: Path) -> None:
    """With a user directory and a database of its own it writes there only."""
    own = tmp_path / "own"
    comfyui.run("--cpu", "--user-directory", str(own), "--database-url", f"sqlite:///{own}/x.db")
    assert (own / "x.db").exists()
    assert not (comfyui.home / "user" / "comfyui.db").exists()
    comfyui.run("--cpu")
    assert (comfyui.home / "user" / "comfyui.db").exists()


def test_newer_versions_colour_their_log(tmp_path: Path) -> None:
    """Each record then begins with a coloured level."""
    write_tree(tmp_path / "ComfyUI", coloured_log=True)
    comfyui = ComfyUI(tmp_path / "ComfyUI", make_environment(tmp_path / "venv", with_pip=False).python)
    comfyui.add("pack", GOOD)
    assert "\x1b[32m[INFO]\x1b[0m    0.0 seconds: " in comfyui.run("--cpu").stdout


def test_it_serves_what_its_nodes_are(comfyui: ComfyUI) -> None:
    """Started for real it answers /system_stats and /object_info, with the module of each node."""
    comfyui.add("pack", GOOD)
    command = [str(comfyui.python), "main.py", "--cpu", "--port", "0", "--log-stdout"]
    with subprocess.Popen(command, cwd=comfyui.home, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = next(line.split(": ")[1].strip() for line in process.stdout if line.startswith("To see the GUI"))
            with urllib.request.urlopen(f"{url}/object_info") as answer:
                assert json.load(answer)["Good"]["python_module"] == "custom_nodes.pack"
            with urllib.request.urlopen(f"{url}/api/system_stats") as answer:
                assert json.load(answer)["system"]["python_version"] == sys.version
        finally:
            process.kill()
