"""Root logs in, ComfyUI is another user's: what the run leaves is that user's, and `verified` is true for them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL

import pytest

from app.runner.machine.comfyui_processes import running_comfyuis
from app.runner.process.user import user_of_process
from app.standin.git_server import GitServer
from app.standin.other_user import GID, UID, give_away, of_others, run_as, unreadable, write_older_git
from app.standin.packs import add_commit, make_pack
from test.owner.conftest import OtherBoxFactory
from test.plan.box import Box
from test.runner.rig import Run, node
from test.support.running_comfyui import answers
from test.support.waiting import wait_until

pytestmark = [
    pytest.mark.registry,  # uv itself comes from there; the packages do not
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away and run programs as another user"),
]

SCRIPT = """
import os, subprocess, sys
from pathlib import Path
os.umask(0o077)
home = Path.cwd().parents[1]
Path("settings.json").write_text("{}")
Path("data/deep").mkdir(parents=True)
Path("data/deep/table.bin").write_bytes(b"x")
Path("here").symlink_to("data")
(home / "models" / "checkpoints" / "new.safetensors").write_bytes(b"x")
(home / "models" / "made").mkdir()
(home / "user" / "default" / "made.json").write_text("{}")
(home / "custom_nodes" / "brought-along").mkdir()
(home / "custom_nodes" / "brought-along" / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}")
pip = [sys.executable, "-m", "pip", "install", "-q", "--no-cache-dir", "--index-url", os.environ["UV_DEFAULT_INDEX"]]
subprocess.run([*pip, "by-pip"], check=True)
subprocess.run(["uv", "pip", "install", "-q", "--python", sys.executable, "by-uv"], check=True)
"""
GIT = """
import subprocess
for folder in (".", "sub", "cloned", "../.."):
    subprocess.run(["git", "-C", folder, "status", "--short"], check=True)
"""
AT_IMPORT = """
import os
from pathlib import Path
folder = Path(__file__).parent
(folder / "config.ini").write_text(f"{os.geteuid()} {os.getegid()} {os.getgroups()} {os.environ['HOME']}")
NODE_CLASS_MAPPINGS = {"X": object}
"""


def run_of(box: Box, *packs: dict[str, object], **request: object) -> Run:
    """An install whose packs ComfyUI imports."""
    options = {"verify": True, **request.pop("options", {})}  # type: ignore[dict-item]
    return box.run_of(*packs, options=options, **request)


def test_all_that_a_run_writes_is_theirs(other_box_factory: OtherBoxFactory) -> None:
    """Clones, packages of uv and pip, what install.py wrote anywhere in ComfyUI's folder, and what the import wrote."""
    box = other_box_factory(with_pip=True)
    for name in ("by-requirements", "by-pip", "by-uv"):
        box.index.wheel(name, "1.0")
    packs = [
        box.pack("plain", "by-requirements"),
        box.pack("scripted", install_py=SCRIPT),
        box.pack("writes", files={"__init__.py": AT_IMPORT}),
    ]
    run = run_of(box, *packs)
    assert {name: run.state(name) for name in ("plain", "scripted", "writes")} == dict.fromkeys(
        ("plain", "scripted", "writes"), "verified"
    ), run.said()
    assert of_others(box.ui_home) == []
    assert unreadable(box.ui_home) == []
    assert box.environment is not None
    imports = "import by_requirements, by_pip, by_uv"
    run_as([box.environment.python, "-c", imports], box.ui_home)
    run_as(["git", "-C", box.custom_nodes / "plain", "status"], box.ui_home)
    told = [(warning.code, warning.message.rpartition(": ")[2]) for warning in run.snapshot().warnings]
    assert told == [("wrote_outside", "custom_nodes/brought-along/.")]
    assert not Path(f"/tmp/nodeferry-{run.task_id}").exists()


def test_what_was_roots_before_stays_roots(box: Box) -> None:
    """Only what the run made changes hands: not an older pack of root's, nor an older package."""
    old = [box.custom_nodes / "old" / "__init__.py", box.ui_home / "models" / "old.bin"]
    old.append(box.environment.packages / "old.py" if box.environment else old[0])
    for path in old:
        path.parent.mkdir(exist_ok=True)
        path.write_text("NODE_CLASS_MAPPINGS = {}")
    box.index.wheel("alpha", "1.0")
    run = run_of(box, box.pack("one", "alpha", install_py=SCRIPT.partition("pip =")[0]))
    assert run.state("one") == "verified", run.said()
    assert [path.stat().st_uid for path in old] == [0, 0, 0]
    assert set(of_others(box.ui_home)) == {
        *(str(path.relative_to(box.ui_home)) for path in old),
        "custom_nodes/old",
    }


def test_a_login_that_hides_its_files_and_an_environment_of_roots(other_box_factory: OtherBoxFactory) -> None:
    """Packages stay root's, as the others there are; root's umask of 077 does not hide them from ComfyUI's user."""
    box = other_box_factory(venv_of_root=True)
    assert box.environment is not None
    box.index.wheel("alpha", "1.0")
    box.index.wheel("beta", "1.0")
    script = "import os, subprocess, sys\nos.umask(0o077)\n"
    script += 'subprocess.run(["uv", "pip", "install", "-q", "--python", sys.executable, "beta"], check=True)\n'
    argv = ["sh", "-c", f"umask 077; uv pip install -q --target {box.home}/elsewhere alpha"]
    subprocess.run(argv, env=box.environ, check=True)
    code = "import alpha, beta\nNODE_CLASS_MAPPINGS = {'X': object}\n"
    pack = box.pack("one", "alpha", install_py=script, files={"__init__.py": code})
    run = run_of(box, pack, venv_path=str(box.environment.folder))
    assert run.state("one") == "verified", run.said()
    assert (box.environment.packages / "alpha" / "__init__.py").stat().st_uid == 0
    assert unreadable(box.environment.packages) == []
    assert of_others(box.custom_nodes) == []


def test_links_do_not_give_roots_files_away(box: Box, tmp_path: Path) -> None:
    """Symbolic links, hard links and set-user-ID files that a pack makes: what they lead to stays root's."""
    secret = box.home.parent / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    folder = box.home.parent / "folder"
    folder.mkdir()
    (folder / "file").touch()
    script = (
        "import os, shutil\n"
        f"os.symlink({str(secret)!r}, 'soft')\nos.link({str(secret)!r}, 'hard')\n"
        f"os.symlink({str(folder)!r}, 'away')\nos.symlink({str(folder)!r}, '../../models/away')\n"
        f"open({str(folder / 'file')!r}, 'w').close()\n"
        "shutil.copy('/bin/true', 'mighty')\nos.chmod('mighty', 0o4755)\n"
    )
    run = run_of(box, box.pack("hostile", install_py=script))
    assert run.state("hostile") == "verified", run.said()
    for path in (secret, folder, folder / "file"):
        assert path.stat().st_uid == 0
    assert secret.stat().st_mode & 0o777 == 0o600
    mighty = (box.custom_nodes / "hostile" / "mighty").stat()
    assert (mighty.st_uid, mighty.st_mode & 0o7777) == (0, 0o4755)
    assert (box.custom_nodes / "hostile" / "soft").lstat().st_uid == UID


def test_models_elsewhere_are_theirs_where_the_folder_is(box: Box) -> None:
    """models is a link to a volume of theirs."""
    volume = box.home.parent / "volume"
    (box.ui_home / "models").rename(volume)
    (box.ui_home / "models").symlink_to(volume)
    script = "from pathlib import Path\nPath('../../models/checkpoints/new.bin').write_bytes(b'x')\n"
    run = run_of(box, box.pack("one", install_py=script))
    assert run.state("one") == "verified", run.said()
    assert of_others(volume) == []


@pytest.mark.parametrize("older", [False, True])
def test_git_works_in_a_folder_that_is_theirs(box: Box, git_server: GitServer, *, older: bool) -> None:
    """install.py runs git in the pack's folder, its submodule, a repository that it cloned before, and ComfyUI's own;
    so does Nodeferry. An older git takes no word for it from the command line, nor from the environment."""
    if older:
        write_older_git(box.home / "bin")
        box.environ |= {"PATH": f"{box.home / 'bin'}:{box.environ['PATH']}"}
        del box.environ["GIT_CONFIG_NOSYSTEM"]
    inner = make_pack(git_server, "o", "inner")
    pack = make_pack(git_server, "o", "pack", submodules={"sub": inner}, install_py=GIT)
    folder = box.custom_nodes / "pack"
    subprocess.run(["git", "init", "-q", str(box.ui_home)], check=True)
    box.custom_nodes.mkdir(exist_ok=True)
    for argv in (["--recurse-submodules", pack.url, str(folder)], [inner.url, str(folder / "cloned")]):
        subprocess.run(["git", "-c", "protocol.file.allow=always", "clone", "-q", *argv], check=True)
    give_away(box.ui_home)
    add_commit(git_server, pack, {"new.txt": "x"})
    box.environ |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Somebody"}
    run = run_of(box, node(pack), options={"existing": "update"})
    assert run.state("pack") == "verified", run.said()
    assert (folder / "new.txt").exists()
    assert of_others(box.ui_home) == []


def test_a_comfyui_that_a_link_leads_to_is_theirs(box: Box) -> None:
    """ui_home is given as a link, as /workspace/ComfyUI often is."""
    link = box.home.parent / "link"
    link.symlink_to(box.ui_home)
    run = run_of(box, box.pack("one", install_py=SCRIPT.partition("pip =")[0]), ui_home=str(link))
    assert run.state("one") == "verified", run.said()
    assert of_others(box.ui_home) == []


def test_git_outside_of_comfyui_still_refuses(box: Box) -> None:
    """Nothing but the pack's repositories and ComfyUI's own is trusted."""
    foreign = box.home.parent / "foreign"
    subprocess.run(["git", "init", "-q", str(foreign)], check=True)
    give_away(foreign)
    script = f"import subprocess, sys\nsys.exit(subprocess.call(['git', '-C', {str(foreign)!r}, 'status']))\n"
    run = run_of(box, box.pack("pack", install_py=script), options={"verify": False})
    assert run.state("pack") == "failed dubious_ownership", run.said()


def test_the_import_is_made_as_that_user(box: Box) -> None:
    """A pack that reads what only root may read is failed, since ComfyUI will not load it."""
    secret = box.home / "token"
    secret.write_text("x")
    packs = [
        box.pack("who", files={"__init__.py": AT_IMPORT}),
        box.pack("of-root", files={"__init__.py": f"open({str(secret)!r}).read()\nNODE_CLASS_MAPPINGS = {{}}\n"}),
    ]
    run = run_of(box, *packs)
    assert run.state("who") == "verified", run.said()
    assert run.state("of-root").startswith("failed")
    error = run.snapshot().nodes["of-root"].error
    assert error is not None
    assert "Permission denied" in error.message
    assert "the user who runs ComfyUI may not use" in error.message
    uid, gid, groups = (box.custom_nodes / "who" / "config.ini").read_text().rsplit(" ", 1)[0].split(" ", 2)
    assert (int(uid), int(gid), groups) == (UID, GID, f"[{GID}]")


def test_a_python_that_they_cannot_run_is_told(box: Box) -> None:
    """The environment lies in root's home: the packs are imported as root, and that is said."""
    assert box.environment is not None
    hidden = box.home / "venv"
    box.environment.folder.rename(hidden)
    run = box.install([box.pack("one")], venv_path=str(hidden), options={"verify": True})
    assert run.state("one") == "verified", run.said()
    warning = next(each for each in run.snapshot().warnings if each.code == "imported_as_root")
    assert f"user {UID}" in warning.message
    assert of_others(box.ui_home) == []


def test_a_cancelled_run_leaves_nothing_of_roots(box: Box) -> None:
    """What install.py had written by then is theirs, too."""
    script = "import time\nopen('../../models/half.bin', 'w').close()\nopen('half', 'w').close()\ntime.sleep(600)\n"
    run = box.start([box.pack("slow", install_py=script)])
    wait_until((box.custom_nodes / "slow" / "half").exists, 60, "install.py runs")
    assert run.cancel() == "ended"
    assert of_others(box.ui_home) == []


def test_a_killed_run_leaves_nothing_of_roots_once_it_is_swept(box: Box) -> None:
    """The runner dies in the middle of install.py."""
    script = "import time\nopen('../../models/half.bin', 'w').close()\nopen('half', 'w').close()\ntime.sleep(600)\n"
    box.index.wheel("alpha", "1.0")
    run = box.start([box.pack("slow", "alpha", install_py=script)])
    wait_until((box.custom_nodes / "slow" / "half").exists, 60, "install.py runs")
    run.kill_runner()
    assert run.sweep()["status"] == "swept"
    assert of_others(box.ui_home) == []


def test_a_rollback_leaves_nothing_of_roots(box: Box, git_server: GitServer) -> None:
    """Commits and packages of before, in their folders."""
    box.index.wheel("alpha", "1.0")
    box.index.wheel("alpha", "2.0")
    box.have("alpha==1.0")
    pack = make_pack(git_server, "o", "pack")
    assert run_of(box, node(pack)).state("pack") == "verified"
    give_away(box.ui_home)
    add_commit(git_server, pack, {"requirements.txt": "alpha==2.0\n"})
    run = run_of(box, node(pack), options={"existing": "update"})
    assert box.freeze()["alpha"] == "2.0", (run.said(), run.state("pack"))
    assert of_others(box.ui_home) == []
    box.install(None, rollback_of=run.task_id)
    assert box.freeze()["alpha"] == "1.0"
    assert of_others(box.ui_home) == []


@pytest.mark.parametrize("without", ["", "-sys_ptrace,-perfmon,-sys_admin"])
def test_the_running_comfyui_says_whose_it_is(other_box_factory: OtherBoxFactory, without: str) -> None:
    """Its folder is root's, and another user runs it: the packs are that user's, who can write in them. It is restarted
    as that user, in all of that user's groups. In most containers root may not look into that process."""
    box = other_box_factory(without=without)
    assert box.environment is not None
    for path in [box.ui_home, *box.ui_home.rglob("*")]:
        os.lchown(path, 0, 0)
    give_away(box.ui_home / "user")
    with running_as(box, GID + 1):
        code = AT_IMPORT.replace("HOME", "MARKED")
        run = run_of(box, box.pack("writes", files={"__init__.py": code}), options={"restart": True})
        users = [user_of_process(pid) for pid in pids_of(box)]
    assert run.state("writes") == "verified", run.said()
    wrote = (box.custom_nodes / "writes" / "config.ini").read_text()
    assert wrote == f"{UID} {GID} {[GID + 1]} 1"
    assert of_others(box.custom_nodes / "writes") == []
    assert (box.ui_home / "main.py").stat().st_uid == 0
    assert run.snapshot().warnings == ()
    assert [(user.uid, user.gid, user.groups) for user in users if user] == [(UID, GID, (GID + 1,))]


def pids_of(box: Box) -> list[int]:
    """Of the ComfyUIs that run there."""
    return [process.pid for process in running_comfyuis() if process.folder == box.ui_home.resolve()]


@contextmanager
def running_as(box: Box, group: int) -> Iterator[None]:
    """ComfyUI runs as the other user, who is in this group too; whatever runs there afterwards is ended."""
    assert box.environment is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = ["setpriv", f"--reuid={UID}", f"--regid={GID}", f"--groups={group}"]
    argv += [str(box.environment.python), "main.py", "--cpu", "--port", str(port)]
    environ = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "MARKED": "1"}
    with subprocess.Popen(argv, cwd=box.ui_home, env=environ, stdout=DEVNULL, stderr=DEVNULL) as first:
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), 30, "ComfyUI answers")
            yield
        finally:
            for pid in {*pids_of(box), first.pid}:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def test_a_file_system_that_refuses_is_told_once(other_box_factory: OtherBoxFactory) -> None:
    """As a network volume, or a container without CAP_CHOWN: the run goes on, and says whose the files are."""
    box = other_box_factory(without="-chown")
    run = run_of(box, box.pack("one"), box.pack("two"))
    told = [each.code for each in run.snapshot().warnings]
    assert told.count("owner_not_set") == 1, run.said()
    assert run.state("one") == run.state("two") == "verified", run.said()
