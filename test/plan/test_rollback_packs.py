"""A rollback and the files in packs' folders: what the run made goes, what is somebody's stays."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from app.protocol.events import ScriptChanged
from app.standin.environment import make_environment
from app.standin.git_rules import MISSING, SERVED
from app.standin.packs import add_commit, make_pack
from test.plan.box import Box, states
from test.plan.test_rollback import commits, roll_back
from test.runner.rig import Run, git, names_in, node
from test.runner.test_manager_copies import registry_copy
from test.support.waiting import wait_until

pytestmark = pytest.mark.registry

WRITES = """
import os, subprocess
os.makedirs("models", exist_ok=True)
open("models/fetched.bin", "w").write("x")
open("config.json", "w").write("written")
subprocess.run(["git", "init", "-q", "inner"], check=True)
open("inner/file", "w").write("x")
"""


def tree(folder: Path) -> dict[str, str]:
    """Every file below, with its content; not git's and Python's own."""
    return {
        str(path.relative_to(folder)): path.read_text("latin-1")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {".git", "__pycache__"} & set(path.parts)
    }


def warned(run: Run) -> list[str]:
    return [warning.code for warning in run.snapshot().warnings]


@pytest.mark.parametrize("name", ["ComfyUI-Pack", "comfyui-pack"])
def test_a_replaced_copy_of_the_registry_is_there_again(box: Box, name: str) -> None:
    """With the files that went along to the repository, and with what was made since; a second rollback finds it so."""
    pack = make_pack(box.git, "Owner", "ComfyUI-Pack", files={"config.json": "{}\n"}, install_py=WRITES)
    registry_copy(box.custom_nodes / name, pack)
    before = tree(box.custom_nodes)
    run = box.run_of(node(pack), options={"existing": "reinstall"})
    assert states(run) == {"ComfyUI-Pack": "installed"}, run.said()
    (box.custom_nodes / "ComfyUI-Pack" / "models" / "later.bin").write_text("mine, later")
    for _ in range(2):
        restored = roll_back(box, run)
        assert states(restored) == {"ComfyUI-Pack": "skipped rolled_back"}, restored.said()
        now = tree(box.custom_nodes)
        assert {path: now.get(path) for path in before} == before
        assert now[f"{name}/models/later.bin"] == "mine, later"
        assert not (box.custom_nodes / name / ".git").exists()
        assert names_in(box.custom_nodes) == [".disabled", name]
        assert names_in(box.custom_nodes / ".disabled") == []


def test_an_unpacked_archive_is_there_again_and_a_clone_under_another_name_as_it_was(box: Box) -> None:
    """A reinstall has replaced the one, and renewed the other where it was."""
    pack, other = make_pack(box.git, "o", "Pack"), make_pack(box.git, "o", "Other", history=2)
    for folder, made in (("Pack-main", pack), ("my-other", other)):
        git(box.custom_nodes, "clone", "-q", made.url, folder)
    shutil.rmtree(box.custom_nodes / "Pack-main" / ".git")
    git(box.custom_nodes / "my-other", "reset", "-q", "--hard", other.commits[0])
    (box.custom_nodes / "my-other" / "mine.txt").write_text("mine")
    before = tree(box.custom_nodes)
    run = box.run_of(node(pack), node(other), options={"existing": "reinstall"})
    assert states(run) == {"Pack": "installed", "Other": "installed"}, run.said()
    restored = roll_back(box, run)
    assert states(restored)["Pack"] == "skipped rolled_back", restored.said()
    assert tree(box.custom_nodes) == before
    assert git(box.custom_nodes / "my-other", "rev-parse", "HEAD") == other.commits[0]


def test_a_copy_that_is_not_kept_any_more_is_told(box: Box) -> None:
    """The user removed it, as the warning allowed."""
    pack = make_pack(box.git, "Owner", "ComfyUI-Pack")
    registry_copy(box.custom_nodes / "comfyui-pack", pack)
    run = box.run_of(node(pack), options={"existing": "reinstall"})
    kept = box.custom_nodes / ".disabled" / "comfyui-pack@replaced"
    for path in sorted(kept.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    kept.rmdir()
    restored = roll_back(box, run)
    assert states(restored) == {"ComfyUI-Pack": "failed cannot_roll_back"}
    assert (box.custom_nodes / "ComfyUI-Pack" / ".git").is_dir(), "what is there stays"


def test_what_its_script_wrote_goes_with_a_new_pack(box: Box) -> None:
    """Untracked files, a repository in it, and a tracked file that was changed."""
    new = box.pack("new", files={"config.json": "{}\n"}, install_py=WRITES)
    run = box.run_of(new)
    assert states(run) == {"new": "installed"}, run.said()
    restored = roll_back(box, run)
    assert states(restored) == {"new": "skipped rolled_back"}, restored.said()
    assert names_in(box.custom_nodes) == []


@pytest.mark.parametrize("path", ["models/own.bin", "models/fetched.bin", "inner/own", "config.json", "sub/own.bin"])
def test_a_file_of_the_users_keeps_a_new_pack(box: Box, path: str) -> None:
    """A new one, one of the run's that was changed since, one in a repository in it or in a submodule."""
    inner = make_pack(box.git, "owner", "inner")
    files = {"config.json": "{}\n"}
    new = box.pack("new", files=files, install_py=WRITES, submodules={"sub": inner})
    run = box.run_of(new)
    (box.custom_nodes / "new" / path).write_text("mine")
    restored = roll_back(box, run)
    assert states(restored) == {"new": "failed local_changes"}
    assert (box.custom_nodes / "new" / path).read_text() == "mine"
    assert (box.custom_nodes / "new" / "models" / "fetched.bin").exists(), "It was left untouched"


def test_a_commit_in_a_submodule_keeps_a_new_pack(box: Box) -> None:
    new = box.pack("new", submodules={"sub": make_pack(box.git, "owner", "inner")})
    run = box.run_of(new)
    folder = box.custom_nodes / "new" / "sub"
    (folder / "work.py").write_text("work")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "work")
    assert states(roll_back(box, run)) == {"new": "failed local_changes"}
    assert (folder / "work.py").exists()


@pytest.mark.parametrize("existing", ["update", "reinstall"])
def test_a_pack_that_was_there_is_as_it_was(box: Box, existing: str) -> None:
    """Its commit, its tracked files and the user's own; what the script put there is kept aside, and told."""
    pack = make_pack(box.git, "owner", "old", files={"config.json": "{}\n"})
    box.run_of(node(pack))
    folder = box.custom_nodes / "old"
    (folder / "own.txt").write_text("mine")
    if existing == "reinstall":
        (folder / "brought.txt").write_text("mine, by that name")
    before = commits(box), tree(folder)
    newer = {"install.py": WRITES} | ({"brought.txt": "theirs"} if existing == "reinstall" else {})
    add_commit(box.git, pack, newer)
    run = box.run_of(node(pack), options={"existing": existing})
    assert (folder / "config.json").read_text() == "written", run.said()
    restored = roll_back(box, run)
    assert states(restored) == {"old": "installed"}, restored.said()
    assert (commits(box), tree(folder)) == before
    assert warned(restored) == ["kept_aside"]
    aside = box.custom_nodes / ".disabled" / "old@rolled_back"
    assert tree(aside) == {"config.json": "written", "models/fetched.bin": "x", "inner/file": "x"}


def test_a_clone_of_somebody_elses_is_not_removed(box: Box) -> None:
    """The run could not get the pack; the user did, afterwards."""
    new = box.pack("new")
    box.git.set_rule("owner/new", MISSING)
    run = box.run_of(new)
    assert states(run) == {"new": "failed repository_not_found"}
    box.git.set_rule("owner/new", SERVED)
    git(box.custom_nodes, "clone", "-q", new["repo_url"], "new")
    assert states(roll_back(box, run)) == {"new": "failed local_changes"}
    assert (box.custom_nodes / "new" / "__init__.py").exists()


def test_a_nested_pack_goes_before_the_one_around_it(box: Box) -> None:
    """In whatever order the list has them."""
    outer, inner = box.pack("outer"), box.pack("inner")
    run = box.run_of({**inner, "subfolder": "outer/inner"}, outer)
    assert set(states(run).values()) == {"installed"}
    assert set(states(roll_back(box, run)).values()) == {"skipped rolled_back"}
    assert names_in(box.custom_nodes) == []


def test_of_a_killed_run_no_file_is_removed(box: Box) -> None:
    """Whose the files are is not known then: the new pack is put aside whole, told where."""
    script = f"{WRITES}\nos.mkfifo('wait')\nopen('wait').read()\n"
    new = box.pack("new", files={"config.json": "{}\n"}, install_py=script)
    run = box.start([new])
    wait_until((box.custom_nodes / "new" / "wait").exists, 60, "the script has written")
    run.kill_runner()
    run.sweep()
    restored = roll_back(box, run)
    assert states(restored) == {"new": "skipped rolled_back"}, restored.said()
    assert names_in(box.custom_nodes) == [".disabled"]
    assert (box.custom_nodes / ".disabled" / "new@rolled_back" / "models" / "fetched.bin").exists()
    assert warned(restored) == ["kept_aside"]


def test_what_a_later_run_changed_is_left_to_its_own_rollback(box: Box) -> None:
    """Told, and possible in the other order."""
    for version in ("1.0", "2.0", "3.0"):
        box.index.wheel("shared", version)
    pack = make_pack(box.git, "owner", "old", requirements="shared\n")
    box.have("shared==1.0")
    box.run_of(node(pack))
    starts = [(box.freeze(), commits(box))]
    runs = []
    for version in ("2.0", "3.0"):
        add_commit(box.git, pack, {"requirements.txt": f"shared=={version}\n"})
        runs.append(box.run_of(node(pack), options={"existing": "update"}))
        starts.append((box.freeze(), commits(box)))
    first = roll_back(box, runs[0])
    assert (box.freeze(), commits(box)) == starts[2]
    assert states(first) == {"old": "failed local_changes"}
    error = first.snapshot().error
    assert error is not None and error.code == "rollback_incomplete" and "shared was changed after" in error.message
    told = first.snapshot().nodes["old"].error
    assert told is not None and "later run" in told.hint
    for number in (1, 0):
        restored = roll_back(box, runs[number])
        assert (box.freeze(), commits(box)) == starts[number], restored.said()


def test_a_rollback_has_nothing_to_roll_back(box: Box) -> None:
    run = box.run_of(box.pack("new"))
    again = roll_back(box, roll_back(box, run))
    error = again.snapshot().error
    assert error is not None and error.code == "nothing_to_roll_back"


def addresses(box: Box) -> dict[str, Any]:
    """What came from somewhere else than the index, as the environment has it on record."""
    assert box.environment is not None
    found = {}
    for path in box.ui_home.glob("venv/lib/python3*/site-packages/*.dist-info/direct_url.json"):
        text = path.read_text()
        found[path.parent.name] = ("editable" in text, text.split('"url":')[1].split('"')[1], "commit" in text)
    return found


def project(folder: Path, name: str, version: str) -> Path:
    """A package as a folder that builds without anything else."""
    backend = f"""
import zipfile
META = "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"
def _wheel(out, files):
    file = "{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(out + "/" + file, "w") as archive:
        files = dict(files)
        files["{name}-{version}.dist-info/METADATA"] = META
        files["{name}-{version}.dist-info/WHEEL"] = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        files["{name}-{version}.dist-info/RECORD"] = ""
        for path, text in files.items():
            archive.writestr(path, text)
    return file
def build_wheel(out, settings=None, metadata=None):
    return _wheel(out, {{"{name}.py": ""}})
def build_editable(out, settings=None, metadata=None):
    return _wheel(out, {{"{name}.pth": "/nowhere"}})
"""
    folder.mkdir(parents=True)
    (folder / "backend.py").write_text(backend)
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
    )
    return folder


def test_packages_from_addresses_come_back_from_there(box: Box, tmp_path: Path) -> None:
    """Editable ones, a repository's subfolder, a wheel's address; the same version from elsewhere is another."""
    editable = project(tmp_path / "edited", "edited", "1.0")
    work = tmp_path / "repository"
    project(work / "inner", "versioned", "1.0")
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "one")
    wheel = box.index.wheel("addressed", "1.0")
    for name in ("edited", "versioned", "moved"):
        box.index.wheel(name, "1.0")
        box.index.wheel(name, "2.0")
    box.index.wheel("addressed", "2.0")
    box.have(
        "-e", str(editable), f"versioned @ git+file://{work}#subdirectory=inner", f"addressed @ {wheel}", "moved==1.0"
    )
    before = box.freeze(), addresses(box)
    assert sum(edited for edited, _, _ in before[1].values()) == 1 and len(before[1]) == 3
    moved = f"moved @ {box.index.url}moved/moved-1.0-py3-none-any.whl"
    run = box.run_of(
        box.pack("new", "edited==2.0", "versioned==2.0", "addressed==2.0"),
        box.pack(
            "mover",
            install_py=f"import os,subprocess,sys\nsubprocess.run(['uv','pip','install','--no-deps',"
            f"'--reinstall','--python',sys.executable,{moved!r}],check=True)\n",
        ),
    )
    assert set(states(run).values()) == {"installed"}, run.said()
    assert len(addresses(box)) == 1 and box.freeze()["edited"] == "2.0"
    restored = roll_back(box, run)
    assert (box.freeze(), addresses(box)) == before, restored.said()
    assert restored.snapshot().error is None


SLOW = """
import os


def build_wheel(out, settings=None, metadata=None):
    open(os.environ["HOME"] + "/builds", "w").close()
    os.mkfifo(os.environ["HOME"] + "/wait")
    open(os.environ["HOME"] + "/wait").read()
"""


@pytest.mark.parametrize("end", ["killed", "cancelled"])
def test_a_run_that_ended_in_the_middle_of_its_packages_is_undone(box: Box, end: str) -> None:
    """After the first packs' packages and before the last one's, which is being built."""
    for version in ("1.0", "2.0"):
        box.index.wheel("changed", version)
    box.index.wheel("added", "1.0")
    box.have("changed==1.0")
    pack = make_pack(box.git, "owner", "old", requirements="changed\n")
    box.run_of(node(pack))
    add_commit(box.git, pack, {"requirements.txt": "changed>=2\nadded\n"})
    before = box.freeze(), commits(box)
    files = {
        "slow/backend.py": SLOW,
        "slow/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "slow"\nversion = "1.0"\n',
    }
    run = box.start([node(pack), box.pack("builds", "./slow", files=files)], options={"existing": "update"})
    wait_until((box.home / "builds").exists, 60, "the last one is built")
    assert box.freeze()["changed"] == "2.0"
    if end == "killed":
        run.kill_runner()
        run.sweep()
    else:
        run.cancel()
    restored = roll_back(box, run)
    assert (box.freeze(), commits(box)) == before, restored.said()
    assert names_in(box.custom_nodes) == ["old"]


def test_what_a_killed_script_installed_goes_too(box: Box) -> None:
    """No plan has it: the sweep notes it."""
    box.index.wheel("extra", "1.0")
    box.index.wheel("users", "1.0")
    before = box.freeze()
    script = (
        "import os, subprocess, sys\nsubprocess.run(['uv', 'pip', 'install', '--python', sys.executable, 'extra'])\n"
    )
    run = box.start([box.pack("new", install_py=f"{script}os.mkfifo('wait')\nopen('wait').read()\n")])
    wait_until((box.custom_nodes / "new" / "wait").exists, 60, "the script has installed")
    assert "extra" in box.freeze()
    run.kill_runner()
    run.sweep()
    box.have("users")
    roll_back(box, run)
    assert box.freeze() == {**before, "users": "1.0"}
    assert run.told(ScriptChanged, status="running")
    assert names_in(box.custom_nodes) == []


def test_without_uv_pip_brings_packages_back(box: Box) -> None:
    """As it was pip that installed them."""
    for version in ("1.0", "2.0"):
        box.index.wheel("changed", version)
    box.index.wheel("added", "1.0")
    shutil.rmtree(box.ui_home / "venv")
    box.environment = make_environment(box.ui_home / "venv", with_pip=True)
    box.family = box.fingerprint()
    box.have("changed==1.0")
    in_the_way = box.state / "tools" / "uv"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("no room for a uv of our own")
    box.environ |= {"PATH": "/usr/bin:/bin", "PIP_INDEX_URL": box.index.url}
    before = box.freeze()
    run = box.run_of(box.pack("new", "changed>=2", "added"))
    assert box.freeze()["changed"] == "2.0", run.said()
    assert "uv_unavailable" in warned(run)
    restored = roll_back(box, run)
    assert box.freeze() == before, restored.said()
    assert restored.snapshot().error is None
