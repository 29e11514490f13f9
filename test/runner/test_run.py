"""A run from its start to its end, and the commands about it."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from pathlib import Path

import pytest

from app.protocol import progress_json, task_list
from app.protocol.events import NodeChanged, NodeProgress, RunEnded, RunStarted
from app.protocol.states import TaskState
from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from test.runner.conftest import RigFactory
from test.runner.rig import MARK, Rig, frames_of, make_linked_pack, names_in, node
from test.support.waiting import wait_until

pytestmark = pytest.mark.slow


def test_it_works(rig: Rig, git_server: GitServer) -> None:
    """Two packs are in place at their commits, the journal says so, and nothing else is left in custom_nodes."""
    one, two = make_pack(git_server, "o", "one", payload_bytes=50_000), make_pack(git_server, "o", "two")
    run = rig.install([node(one), node(two)])
    snapshot = run.snapshot()
    assert snapshot.state is TaskState.COMPLETED
    assert [(n.name, n.state, n.commit) for n in snapshot.nodes.values()] == [
        ("one", "installed", one.commit),
        ("two", "installed", two.commit),
    ]
    assert names_in(rig.custom_nodes) == ["one", "two"]
    assert (rig.custom_nodes / "one" / "__init__.py").is_file()


def test_the_file_in_tmp_is_the_journal_folded(rig: Rig, git_server: GitServer) -> None:
    """What `ssh … cat` shows is what the service would show from the same events."""
    run = rig.install(
        [node(make_pack(git_server, "o", "one")), {"name": "gone", "repo_url": f"{git_server.url}/o/gone"}]
    )
    shown = json.loads(run.progress_file.read_text())
    folded = progress_json.progress(run.snapshot(), 0.0)
    clocks = {"elapsed_seconds", "elapsed_time", "last_event_seconds_ago"}
    assert {k: v for k, v in shown.items() if k not in clocks} == {k: v for k, v in folded.items() if k not in clocks}
    assert shown["outcome"] == "partial"


def test_events_are_numbered_without_a_gap(rig: Rig, git_server: GitServer) -> None:
    """seq counts from 1, and the monotonic clock never goes back."""
    run = rig.install([node(make_pack(git_server, "o", "one"))])
    events = run.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    monos = [event.mono for event in events]
    assert monos == sorted(monos)
    assert (type(events[0].body), type(events[-1].body)) == (RunStarted, RunEnded)


@pytest.mark.slow
def test_a_second_start_only_tells(rig: Rig, git_server: GitServer) -> None:
    """While it runs and after it has ended: the journal stays the first run's."""
    pack, released = make_pack(git_server, "o", "held", payload_bytes=300_000), threading.Event()
    git_server.set_rule("o/held", RepoRule(released=released))
    run = rig.start([node(pack)])
    assert run.start()["status"] == "running"
    released.set()
    run.wait()
    assert run.start()["status"] == "ended"
    assert len(run.told(RunStarted)) == 1


def test_follow_gives_the_rest_from_any_offset(rig: Rig, git_server: GitServer) -> None:
    """From each event's offset on come exactly the later lines, then the end."""
    run = rig.install([node(make_pack(git_server, "o", "one"))])
    whole = run.journal.read_bytes()
    for offset in (0, whole.index(b"\n") + 1, len(whole)):
        frames = run.follow(offset)
        lines = [frame.payload.partition(b" ") for frame in frames if frame.kind == "j"]
        assert b"".join(line + b"\n" for _, _, line in lines) == whole[offset:]
        assert [int(after) for after, _, _ in lines] == [offset + m.end() for m in re.finditer(rb"\n", whole[offset:])]
        assert frames[-1].kind == "e"
        assert frames[-1].json == {"status": "ended"}


@pytest.mark.slow
def test_a_follower_of_a_live_run_sees_all_of_it(rig: Rig, git_server: GitServer) -> None:
    """It is sent each line as it comes and ends with the run."""
    pack = make_pack(git_server, "o", "slow", payload_bytes=400_000)
    git_server.set_rule("o/slow", RepoRule(bytes_per_second=400_000))
    run = rig.start([node(pack)])
    frames = run.follow()
    sent = b"".join(frame.payload.partition(b" ")[2] + b"\n" for frame in frames if frame.kind == "j")
    assert sent == run.journal.read_bytes()
    percents = [told.percent for told in run.told(NodeProgress)]
    assert any(0 < percent < 100 for percent in percents)
    assert percents == sorted(percents)


@pytest.mark.slow
def test_a_follower_ends_with_its_input(rig: Rig, git_server: GitServer) -> None:
    """Where nobody listens any more it does not stay."""
    pack = make_pack(git_server, "o", "slow", payload_bytes=400_000)
    git_server.set_rule("o/slow", RepoRule(stall_after_bytes=1000))
    run = rig.start([node(pack)])
    done = subprocess.run(
        rig.argv("follow", run.task_id),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=rig.environ,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert not [frame for frame in frames_of(done.stdout) if frame.kind == "e"]
    assert run.status() == "running"


def test_frames_are_found_behind_noise() -> None:
    """A banner without a line end, lines of a shell, and somebody else's marker do no harm."""
    noise = b"Welcome!\nno newline here" + MARK + b'r {"status": "ended"}\r\n\x1eNFother r {"status": "x"}\n'
    assert [frame.json for frame in frames_of(noise)] == [{"status": "ended"}]


@pytest.mark.slow
def test_the_words_of_status(rig: Rig, git_server: GitServer) -> None:
    """unknown, running, ended; died is what a killed one is."""
    pack = make_pack(git_server, "o", "slow", payload_bytes=400_000)
    git_server.set_rule("o/slow", RepoRule(stall_after_bytes=1000))
    assert rig.call("status", "550e8400-e29b-41d4-a716-446655440000") == {"status": "unknown", "offset": 0}
    run = rig.start([node(pack)])
    assert run.status() == "running"
    assert run.cancel() == "ended"
    assert run.status() == "ended"
    assert rig.call("status", run.task_id)["offset"] == run.journal.stat().st_size


@pytest.mark.parametrize("task_id", ["../../etc", "550E8400-E29B-41D4-A716-446655440000"])
@pytest.mark.parametrize("command", ["start", "status", "cancel", "sweep", "follow"])
def test_a_task_id_that_is_no_uuid_is_refused(rig: Rig, command: str, task_id: str) -> None:
    """It never becomes a path."""
    assert rig.call(command, task_id, stdin=b"{}")["error"]["code"] == "bad_task_id"
    assert not rig.state.exists()


@pytest.mark.parametrize("stdin", [b"", b"nonsense", b"[]", b"\xff"])
def test_a_request_that_is_no_object_is_refused(rig: Rig, stdin: bytes) -> None:
    """The answer is framed like any other."""
    answer = rig.call("start", "550e8400-e29b-41d4-a716-446655440000", stdin=stdin)
    assert answer["error"]["code"] == "bad_request"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        ({"csv": "Name,RepoUrl\n../x,https://example.invalid/a/b\n"}, "invalid_manifest"),
        ({"nodes": []}, "invalid_manifest"),
        ({"csv": "Name,RepoUrl\n", "urls": []}, "invalid_manifest"),
        (None, "invalid_manifest"),
    ],
)
def test_a_list_that_is_none_fails_the_run(rig: Rig, manifest: object, code: str) -> None:
    """What reached the instance is checked there too; no staging is left."""
    run = rig.install(manifest)
    snapshot = run.snapshot()
    assert snapshot.state is TaskState.FAILED
    assert snapshot.error is not None
    assert snapshot.error.code == code
    assert names_in(rig.custom_nodes) == []


@pytest.mark.slow
def test_without_comfyui_the_run_fails(rig: Rig, git_server: GitServer) -> None:
    """A folder that is not there, and one that is not ComfyUI's."""
    for folder in ("/nowhere/at/all", str(rig.home)):
        run = rig.install([node(make_pack(git_server, "o", f"one-{len(folder)}"))], ui_home=folder)
        error = run.snapshot().error
        assert error is not None
        assert error.code == "ui_home_not_found"


@pytest.mark.slow
def test_the_list_may_come_from_a_repository(rig: Rig, git_server: GitServer) -> None:
    """It is cloned on the instance and read; the step says so."""
    pack = make_pack(git_server, "o", "one")
    text = f"Name,RepoUrl,Subfolder,RequirementsFile\none,{pack.url},,\n"
    auto = make_pack(git_server, "o", "auto", files={"scripts/custom_nodes.csv": text})
    run = rig.install({"repo": auto.url, "path": "scripts/custom_nodes.csv", "ref": None})
    assert run.state("one") == "installed"
    assert run.snapshot().steps[task_list.CLONE_AUTO_INSTALLER].status == "success"


@pytest.mark.slow
@pytest.mark.parametrize("path", ["no/such.csv", "../../../etc/passwd", "link.csv"])
def test_a_list_that_is_not_in_the_repository_fails_the_run(rig: Rig, git_server: GitServer, path: str) -> None:
    """Nothing outside of the clone is read."""
    auto = make_linked_pack(git_server, "o", "auto", {"link.csv": "/etc/passwd"})
    run = rig.install({"repo": auto.url, "path": path, "ref": None})
    error = run.snapshot().error
    assert error is not None
    assert error.code == "manifest_unavailable"


@pytest.mark.slow
@pytest.mark.parametrize("name", ['it\'s "quoted" $(touch x)', "-dash;&| `touch x` ünïcode — ノード"])
def test_any_name_of_ui_home_is_only_a_name(rig_factory: RigFactory, git_server: GitServer, name: str) -> None:
    """Nothing of it is run, and the packs are in it."""
    rig = rig_factory(ui_home_name=name)
    run = rig.install([node(make_pack(git_server, "o", "one", install_py="print('hello')"))])
    assert run.state("one") == "installed"
    assert names_in(rig.custom_nodes) == ["one"]
    assert not list(rig.home.parent.rglob("x"))


@pytest.mark.slow
def test_custom_nodes_is_made_where_it_is_missing(rig: Rig, git_server: GitServer) -> None:
    """A ComfyUI is a folder with main.py."""
    rig.custom_nodes.rmdir()
    assert rig.install([node(make_pack(git_server, "o", "one"))]).state("one") == "installed"


def test_the_runner_is_on_the_oldest_python_here(rig: Rig, old_python: str) -> None:
    """These tests run it there; the service may be on a newer one."""
    version = subprocess.run([old_python, "-V"], capture_output=True, text=True, check=True).stdout
    assert rig.python == old_python
    assert tuple(map(int, version.split()[1].split(".")[:2])) >= (3, 9)


def test_probe_tells_the_machine(rig: Rig) -> None:
    """Where ComfyUI is, its interpreter and torch; nothing is changed."""
    before = names_in(rig.ui_home)
    found = rig.call("probe", "-", "--ui-home", str(rig.ui_home))
    assert found["ui_home"] == str(rig.ui_home)
    assert found["interpreter"].startswith(str(rig.ui_home / "venv/bin/python"))
    assert found["torch"]["version"] == "2.9.1+cu128"
    assert found["disk_free_bytes"] > 0
    assert names_in(rig.ui_home) == before


def test_probe_says_what_is_missing(rig: Rig) -> None:
    """No ComfyUI is an error; no such interpreter is a warning, since clones need none."""
    assert rig.call("probe", "-", "--ui-home", "/nowhere")["error"]["code"] == "ui_home_not_found"
    found = rig.call("probe", "-", "--ui-home", str(rig.ui_home), "--venv-path", "/nowhere/venv")
    assert found["interpreter"] is None
    assert "/nowhere/venv" in found["warnings"][0]


@pytest.mark.slow
def test_the_proof_is_found_in_noise(rig: Rig) -> None:
    """An interpreter that prints at its start, its end and on stderr still proves itself."""
    assert rig.environment is not None
    noise = (
        "import atexit, sys; print('NODEFERRY_PROOF {not json'); sys.stderr.write('x' * 9000); "
        "atexit.register(print, 'bye')"
    )
    (rig.environment.packages / "zz_noise.pth").write_text(noise + "\n")
    found = rig.call("probe", "-", "--ui-home", str(rig.ui_home))
    assert found["torch"]["version"] == "2.9.1+cu128"


@pytest.mark.slow
@pytest.mark.quiet
def test_first_events_come_at_once(rig: Rig, git_server: GitServer) -> None:
    """start answers only when the journal is open, so the first poll finds it."""
    run = rig.start([node(make_pack(git_server, "o", "one"))])
    assert run.journal.exists()
    wait_until(lambda: run.told(NodeChanged), 2.0, "a node event")
    run.wait()


def test_no_state_is_world_readable(rig: Rig, git_server: GitServer) -> None:
    """The run's folder is the login user's alone."""
    run = rig.install([node(make_pack(git_server, "o", "one"))])
    assert [oct(Path(p).stat().st_mode & 0o077) for p in (run.folder, run.journal)] == ["0o0", "0o0"]
