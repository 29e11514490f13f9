"""What the service and its runner write is their user's alone, whatever the umask is and whatever was there before."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from app.standin.git_server import GitServer
from app.standin.other_user import give_away, python_for_all, run_as
from app.standin.packs import make_pack
from app.storage.errors import StorageError
from app.storage.log_files import LogFiles
from app.storage.private_folder import make_private
from test.cli.test_serve import SERVE, environment
from test.runner.conftest import old_python, rig, rig_factory
from test.runner.rig import Rig, node

__all__ = ["old_python", "rig", "rig_factory"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play two users")
_TASK = "550e8400-e29b-41d4-a716-446655440000"
_URL = re.compile(r"^Nodeferry on http://127\.0\.0\.1:\d+$", re.MULTILINE)


def open_to_others(folder: Path) -> list[str]:
    """What in a folder, itself included, others may read, write or look into."""
    entries = [folder, *folder.rglob("*")]
    return sorted(str(path) for path in entries if not path.is_symlink() and path.stat().st_mode & 0o077)


def served(folder: Path) -> tuple[str, str]:
    """Starts a service with a umask that takes nothing away, and ends it: what it prints and its log."""
    command = [*SERVE, "--data-dir", str(folder), "--port", "0"]
    with subprocess.Popen(
        command, env=environment(folder.parent), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, umask=0
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest, log = process.communicate(timeout=30)
    return first + rest, log


@pytest.mark.slow
def test_a_data_folder_is_its_users_alone_also_one_that_was_open(tmp_path: Path) -> None:
    """Made anew without the help of a umask; and opened by somebody to all, with everything in it. The log says the
    latter once, and a link out of the folder is not followed."""
    folder = tmp_path / "data" / "service"
    said, log = served(folder)
    assert _URL.search(said), log
    assert open_to_others(tmp_path / "data") == []
    assert "look into" not in log
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    elsewhere.chmod(0o644)
    (folder / "link").symlink_to(elsewhere)
    (folder / "logs" / _TASK).mkdir(parents=True, exist_ok=True)
    (folder / "logs" / _TASK / "run.log").write_text("a log")
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o777 if path.is_dir() else 0o666)
    said, log = served(folder)
    assert _URL.search(said), log
    assert open_to_others(folder) == []
    assert log.count("are now yours alone") == 1
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644
    assert make_private(folder) == 0


@needs_root
@pytest.mark.parametrize("what", ["the folder", "a file in it", "a link in it", "the link to it"])
def test_a_data_folder_of_another_user_is_refused_with_words(tmp_path: Path, what: str) -> None:
    """Nothing in it is changed, and what a link leads to is not touched."""
    folder, victim = tmp_path / "service", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("the victim's")
    if what == "the folder":
        give_away(folder)
    elif what == "a file in it":
        (folder / "nodeferry.db").write_text("")
        give_away(folder / "nodeferry.db")
    elif what == "a link in it":
        (folder / "service.lock").symlink_to(victim)
        give_away(folder / "service.lock")
    else:
        shutil.move(folder, tmp_path / "real")
        folder.symlink_to(tmp_path / "real")
        os.lchown(folder, 61234, 61235)
    with pytest.raises(StorageError, match="belongs to another user") as caught:
        make_private(folder)
    assert "--data-dir" in caught.value.hint
    if what == "a link in it":
        said, log = served(folder)
        assert "belongs to another user" in log
        assert not _URL.search(said)
    assert victim.read_text() == "the victim's"


def test_the_users_own_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    """To another disk, for instance. What it leads to is closed."""
    real = tmp_path / "real"
    real.mkdir()
    (real / "file").write_text("")
    for path, mode in ((real, 0o755), (real / "file", 0o644)):
        path.chmod(mode)
    (tmp_path / "service").symlink_to(real)
    assert make_private(tmp_path / "service") == 2
    assert open_to_others(real) == []


def test_logs_and_their_marks_do_not_rely_on_a_umask(tmp_path: Path) -> None:
    """Also where a log was begun anew, which a file beside it notes."""
    before = os.umask(0)
    try:
        make_private(tmp_path / "logs")
        with LogFiles(tmp_path / "logs").writing(_TASK) as writer:
            writer.append("nodes/pack.log", 0, b"first")
            writer.append("nodes/pack.log", 0, b"second", anew=True)
    finally:
        os.umask(before)
    assert (tmp_path / "logs" / _TASK / "nodes" / "pack.log.kept").exists()
    assert open_to_others(tmp_path / "logs") == []


def test_a_link_in_the_place_of_a_log_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    with LogFiles(tmp_path / "logs").writing(_TASK) as writer:
        (tmp_path / "logs" / _TASK / "run.log").symlink_to(victim)
        with pytest.raises(StorageError):
            writer.append("run.log", 0, b"a log")
    assert victim.read_text() == "mine"


@pytest.mark.slow
def test_what_a_run_writes_on_the_instance_is_its_users_alone(rig: Rig, git_server: GitServer) -> None:
    """With a umask that takes nothing away, and in folders that were open to all before."""
    pack = make_pack(git_server, "o", "scripted", files={"install.py": "print('hello')\n", "__init__.py": ""})
    rig.state.mkdir(parents=True)
    rig.state.chmod(0o777)
    before = os.umask(0)
    try:
        run = rig.install([node(pack)])
    finally:
        os.umask(before)
    assert run.state("scripted") == "installed", run.said()
    assert (run.folder / "nodes" / "scripted.log").exists()
    assert open_to_others(rig.state) == []
    assert stat.S_IMODE(run.progress_file.stat().st_mode) == 0o600
    assert not stat.S_IMODE((rig.custom_nodes / "scripted" / "__init__.py").stat().st_mode) & 0o022


@needs_root
@pytest.mark.slow
def test_another_user_of_the_instance_reads_nothing_of_a_run(rig: Rig, git_server: GitServer) -> None:
    """They try it themselves: the progress in /tmp, and while the run works its folder of temporary files."""
    look = "import os, sys\nos.setgid(61235)\nos.setuid(61234)\nprint(os.listdir(sys.argv[1]))\n"
    script = (
        "import subprocess, tempfile\n"
        f"said = subprocess.run([{python_for_all()!r}, '-I', '-c', {look!r}, tempfile.gettempdir()], "
        "capture_output=True, text=True, cwd='/')\n"
        "print(tempfile.gettempdir(), said.stdout, said.stderr)\n"
    )
    run = rig.install([node(make_pack(git_server, "o", "scripted", files={"install.py": script, "__init__.py": ""}))])
    said = (run.folder / "nodes" / "scripted.log").read_text("utf-8")
    assert f"/tmp/nodeferry-{run.task_id}.lent/tmp" in said  # where a run has it
    assert "PermissionError" in said
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run_as([python_for_all(), "-I", "-c", "import sys; open(sys.argv[1])", run.progress_file], Path("/"))
    assert "PermissionError" in caught.value.stderr
