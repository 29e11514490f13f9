"""What another user of the instance has put where a run writes: never followed, never used, and no harm."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.remote.connector import SshConnector
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.settings import Timeouts
from app.standin.git_server import GitServer
from app.standin.other_user import GID, UID, give_away, python_for_all
from app.standin.packs import make_pack
from test.remote.conftest import Sshd, connector, make_connector, make_sshd, pins, ssh_dir, sshd
from test.runner.conftest import old_python, rig, rig_factory
from test.runner.rig import Rig, node

__all__ = ["connector", "make_connector", "make_sshd", "old_python", "pins", "rig", "rig_factory", "ssh_dir", "sshd"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play two users")
_JOURNAL = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from app.protocol import progress_json
from app.protocol.events import RunEnded, RunStarted
from app.protocol.states import TaskState
from app.runner.daemon.journal import Journal
folder, progress, task = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
faults = []
journal = Journal(folder / "journal.ndjson", progress_json.initial(task, time.time(), auto_installer=False), progress,
                  faults.append)
journal.emit(RunStarted(task, "test", 1, False))
journal.close()
assert not faults, faults
"""
"""The journal of a run, as the runner writes it."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder where everybody may write and nobody may touch what is another's, as /tmp."""
    folder = Path(tempfile.mkdtemp(prefix="xplanted-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


def _file(path: Path, victim: Path) -> None:
    path.write_text("planted")


def _link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def _hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def _dangling(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("not-there"))


def _pipe(path: Path, victim: Path) -> None:
    os.mkfifo(path, 0o666)


def _folder(path: Path, victim: Path) -> None:
    path.mkdir(mode=0o777)


Plant = Callable[[Path, Path], None]
PLANTS: tuple[Plant, ...] = (_file, _link, _hard_link, _dangling, _pipe, _folder)


@needs_root
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
@pytest.mark.parametrize("as_root", [False, True], ids=["a user's run", "root's run"])
def test_what_stands_in_the_place_of_the_progress_file_is_not_followed(
    place: Path, pyz: Path, plant: Plant, as_root: bool
) -> None:
    """A user's run cannot replace it: it says so once, and where the progress is. Root's replaces all but a folder."""
    task = str(uuid.uuid4())
    program = shutil.copy(pyz, place / "runner.pyz")
    own, progress, victim = place / "run", place / f"custom_nodes_progress_{task}.json", place / "victim"
    own.mkdir(mode=0o700)
    victim.write_text("the victim's")
    victim.chmod(0o666)
    if not as_root:
        give_away(own)
        give_away(victim)
    plant(progress, victim)
    if as_root:
        os.lchown(progress, UID, GID)
    before = os.lstat(progress)
    python = sys.executable if as_root else python_for_all()
    who: dict[str, Any] = {} if as_root else {"user": UID, "group": GID, "extra_groups": []}
    subprocess.run(
        [python, "-I", "-c", f"import os; os.umask(0)\n{_JOURNAL}", program, own, progress, task],
        check=True, timeout=30, cwd="/", **who,
    )  # fmt: skip
    assert victim.read_text() == "the victim's"
    assert not (place / "not-there").exists()
    events = [json.loads(line) for line in (own / "journal.ndjson").read_bytes().splitlines()]
    warnings = [event for event in events if event["event"] == "warning"]
    replaced = plant is not _folder if as_root else plant is _hard_link  # of a file of the run's user
    if replaced:
        assert not warnings
        found = progress
    else:
        assert (os.lstat(progress).st_ino, os.lstat(progress).st_mode) == (before.st_ino, before.st_mode)
        assert [warning["code"] for warning in warnings] == ["progress_file_taken"]
        found = own / "progress.json"
        assert str(found) in warnings[0]["hint"]
    assert json.loads(found.read_bytes())["task_id"] == task
    assert stat.S_IMODE(os.lstat(found).st_mode) == 0o600
    assert stat.S_ISREG(os.lstat(found).st_mode)
    assert sorted(path.name for path in place.iterdir() if path.name.endswith(".tmp")) == []


_EVIL = "#!/bin/sh\ntouch %s\nexit 0\n"


@needs_root
@pytest.mark.slow
def test_folders_planted_in_tmp_are_not_used(rig: Rig, git_server: GitServer, place: Path) -> None:
    """The folder that lends a pip and room for temporary files, and the one for ComfyUI's user: another user has made
    them first, with programs in them. Nothing of them runs, and the run ends as if they were not there."""
    task, mark = str(uuid.uuid4()), place / "mark"
    victim = place / "victim"
    victim.write_text("the victim's")
    planted = [Path(f"/tmp/nodeferry-{task}.lent"), Path(f"/tmp/nodeferry-{task}")]  # where a run has them
    progress = Path(f"/tmp/custom_nodes_progress_{task}.json")
    script = "import subprocess\nsubprocess.run(['pip', '--version'])\n"
    pack = make_pack(git_server, "o", "scripted", files={"install.py": script, "__init__.py": ""})
    try:
        for folder in planted:
            for path in (folder / "pip/bin/pip", folder / "pip/bin/pip3", folder / "tmp/pip"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(_EVIL % mark)
                path.chmod(0o755)
            give_away(folder)
        progress.symlink_to(victim)
        os.lchown(progress, UID, GID)
        run = rig.install([node(pack)], task_id=task)
        assert run.state("scripted") == "installed", run.said()
        assert not mark.exists()
        assert victim.read_text() == "the victim's"
        assert stat.S_IMODE(os.lstat(progress).st_mode) == 0o600
        progress.unlink()
        progress.symlink_to(victim)
        os.lchown(progress, UID, GID)
        assert "error" not in run.sweep()
        assert progress.is_symlink()
        assert planted[1].exists() is False  # root may remove it, and does
    finally:
        for folder in planted:
            shutil.rmtree(folder, ignore_errors=True)


@needs_root
@pytest.mark.sshd
def test_a_runner_that_others_have_put_there_or_could_change_is_not_run(
    sshd: Sshd, connector: SshConnector, place: Path
) -> None:
    """The folder of the runner is open to all, and another user's file has the runner's name: it is sent anew, and the
    folder is closed. The right file that others could have written counts as none, too."""
    packed, bin_folder = pack_runner(), sshd.home / ".local/state/nodeferry/bin"
    bin_folder.mkdir(parents=True)
    planted = bin_folder / packed.name
    for content, mode, owner in ((b"raise SystemExit(9)", 0o644, UID), (packed.content, 0o666, 0)):
        for folder in (bin_folder, bin_folder.parent):
            folder.chmod(0o777)
        planted.unlink(missing_ok=True)
        planted.write_bytes(content)
        planted.chmod(mode)
        os.chown(planted, owner, owner)
        with connector.connect(sshd.address) as host:
            client = RunnerClient(host, packed, Timeouts())
            client.ensure_uploaded()
            assert client.status(str(uuid.uuid4())).status == "unknown"
        assert (planted.read_bytes(), planted.stat().st_uid) == (packed.content, 0)
        assert [stat.S_IMODE(path.stat().st_mode) for path in (bin_folder.parent, bin_folder)] == [0o700, 0o700]
        assert not stat.S_IMODE(planted.stat().st_mode) & 0o022


@needs_root
def test_a_state_folder_of_another_user_is_refused_with_words(rig: Rig) -> None:
    """Whoever owns it could put there what they like."""
    rig.state.mkdir(parents=True)
    give_away(rig.state)
    answer = rig.call("start", str(uuid.uuid4()), stdin=b"{}")
    assert "belongs to another user" in answer["error"]["message"]
