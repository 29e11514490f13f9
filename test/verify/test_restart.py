"""A running ComfyUI is restarted as it was, and asked what it has loaded."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.protocol import progress_json, task_list
from app.protocol.states import StepStatus
from app.runner.comfyui.running import has_no_classes, packs_in
from app.runner.machine.comfyui_processes import running_comfyuis
from app.runner.machine.listening import address_of
from app.runner.process import processes
from app.standin.packs import Pack
from test.runner.rig import Rig
from test.support.waiting import wait_until
from test.verify.conftest import Verify

pytestmark = pytest.mark.slow

MakePack = Callable[..., Pack]
ONLY_LATER = "import sys\nif '--quick-test-for-ci' not in sys.argv: raise RuntimeError('only now')"


class Running:
    """A ComfyUI that runs on the machine, whoever started it."""

    def __init__(self, rig: Rig, *options: str) -> None:
        self.rig, self.options = rig, options
        self.log = rig.home / "comfyui.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def start(self) -> None:
        """As a start script does: in its folder, its output to a file, a variable of its own."""
        argv = ["venv/bin/python", "main.py", "--cpu", "--port", str(self.port), *self.options]
        with self.log.open("ab") as log:
            self._first = subprocess.Popen(
                argv, cwd=self.rig.ui_home, env={**self.rig.environ, "OF_ITS_OWN": "1"}, stdout=log, stderr=log
            )
        wait_until(self.answers, 20, "ComfyUI answers")

    def pids(self) -> list[int]:
        return [process.pid for process in running_comfyuis() if process.folder == self.rig.ui_home.resolve()]

    def answers(self) -> bool:
        try:
            return bool(self.ask("system_stats"))
        except OSError:
            return False

    def ask(self, route: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{route}", timeout=30) as answer:
            return json.load(answer)

    def end(self) -> None:
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: processes.start_time(pid) is None, 30, "ComfyUI is gone")  # type: ignore[misc]
        self._first.wait(30)


@pytest.fixture
def running(rig: Rig) -> Iterator[Running]:
    """A running ComfyUI without packs."""
    comfyui = Running(rig)
    comfyui.start()
    yield comfyui
    comfyui.end()


def test_it_works(verify: Verify, pack: MakePack, running: Running) -> None:
    """Another process with the same arguments, environment, folder and log has the pack; the run's end does not end
    it."""
    (before,) = running.pids()
    run = verify([pack("fresh"), pack("bad", "1/0")], restart=True)
    (after,) = running.pids()
    snapshot = run.snapshot()
    assert snapshot.steps[task_list.RESTART].status is StepStatus.SUCCESS, snapshot.steps[task_list.RESTART]
    assert after != before
    assert "fresh" in running.ask("object_info")
    environ = Path(f"/proc/{after}/environ").read_bytes()
    assert b"OF_ITS_OWN=1" in environ
    assert run.task_id.encode() not in environ
    assert Path(f"/proc/{after}/fd/1").readlink() == running.log
    assert run.state("fresh") == "verified"
    assert "restart ComfyUI" not in progress_json.message(snapshot)


def test_without_being_asked_it_is_not_restarted(verify: Verify, pack: MakePack, running: Running) -> None:
    """The message says that it must be."""
    before = running.pids()
    run = verify([pack("fresh")])
    assert running.pids() == before
    assert progress_json.message(run.snapshot()).endswith("restart ComfyUI to load them")


def test_what_brings_comfyui_down_is_not_restarted_into(verify: Verify, pack: MakePack, running: Running) -> None:
    """The running one stays up, and the warning names the pack."""
    before = running.pids()
    run = verify([pack("fresh"), pack("deadly", "import os; os._exit(1)")], restart=True)
    assert running.pids() == before
    assert [w.message for w in run.snapshot().warnings] == ["ComfyUI was not restarted: deadly would make it crash."]


def test_its_classes_prove_what_was_not_checked(verify: Verify, pack: MakePack, running: Running) -> None:
    """Without the import check, the restarted ComfyUI's own table and classes are the verdict."""
    run = verify([pack("fresh"), pack("bad", "1/0")], verify=False, restart=True)
    nodes = run.snapshot().nodes
    assert (nodes["fresh"].state, nodes["fresh"].verified) == ("verified", True)
    assert (nodes["bad"].state, nodes["bad"].verified) == ("failed", False)
    assert nodes["bad"].error is not None
    assert "ZeroDivisionError" in nodes["bad"].error.message


def test_an_older_comfyui_tells_its_classes_alone(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """Without its log a pack without classes is unknown, and one that was imported before stays so, with a warning;
    not one that says itself that it has none."""
    main = rig.ui_home / "main.py"
    main.write_text(main.read_text().replace("/internal/logs/raw", "/not/here"))
    running = Running(rig)
    running.start()
    try:
        run = verify([pack("fresh"), pack("bad", "1/0")], verify=False, restart=True)
        assert {name: found.verified for name, found in run.snapshot().nodes.items()} == {"fresh": True, "bad": None}
        web = {"__init__.py": "WEB_DIRECTORY = 'js'\nNODE_CLASS_MAPPINGS = {}\n"}
        run = verify([pack("fickle", ONLY_LATER), pack("web", files=web)], restart=True)
        assert {name: found.verified for name, found in run.snapshot().nodes.items()} == {"fickle": True, "web": True}
        assert [w.code for w in run.snapshot().warnings] == ["not_loaded"]
        assert run.snapshot().warnings[0].message.startswith("fickle loaded in the import check")
    finally:
        running.end()


def test_the_restarted_comfyui_has_the_last_word(verify: Verify, pack: MakePack, running: Running) -> None:
    """A pack that the check could import and the real start could not is failed, with its traceback; and the other way
    round: one that only works in the second start is verified."""
    first = "import sys\nif '--quick-test-for-ci' in sys.argv: raise RuntimeError('restart me')"
    run = verify([pack("fickle", ONLY_LATER), pack("second", first), pack("good")], restart=True)
    nodes = run.snapshot().nodes
    assert {name: found.verified for name, found in nodes.items()} == {"fickle": False, "second": True, "good": True}
    assert nodes["fickle"].error is not None and "only now" in nodes["fickle"].error.message
    assert nodes["second"].state == "verified"


def test_one_that_does_not_come_up_again_is_told(verify: Verify, pack: MakePack, running: Running, rig: Rig) -> None:
    """After the deadline the step is failed, with a warning."""
    main = rig.ui_home / "main.py"
    main.write_text(main.read_text().replace("    server.serve_forever()", "    raise SystemExit(1)"))
    run = verify([pack("fresh")], {"restart": 3}, restart=True)
    assert run.snapshot().steps[task_list.RESTART].status is StepStatus.FAILED
    assert [w.code for w in run.snapshot().warnings] == ["not_restarted"]
    assert run.state("fresh") == "verified"


def test_none_running_is_said(verify: Verify, pack: MakePack) -> None:
    """None is started; the pack is none the worse."""
    run = verify([pack("fresh")], restart=True)
    assert "No ComfyUI runs in" in run.snapshot().warnings[0].message
    assert run.state("fresh") == "verified"


@pytest.mark.parametrize(
    ("argv", "address"),
    [
        (["python", "main.py"], "http://127.0.0.1:8188"),
        (["python", "main.py", "--listen", "--port", "18188"], "http://127.0.0.1:18188"),
        (["python", "main.py", "--listen", "0.0.0.0,::", "--port=3001"], "http://127.0.0.1:3001"),
        (["python", "main.py", "--listen", "0.0.0.0"], "http://127.0.0.1:8188"),
        (["python", "main.py", "--listen", "10.0.0.5"], "http://10.0.0.5:8188"),
        (["python", "main.py", "--listen=10.0.0.5,10.0.0.6"], "http://10.0.0.5:8188"),
        (["python", "main.py", "--listen", "::", "--tls-certfile", "c", "--port=1"], "https://127.0.0.1:1"),
    ],
)
def test_where_it_answers_is_in_its_arguments(argv: list[str], address: str) -> None:
    """As ComfyUI reads them."""
    assert address_of(argv) == address


@pytest.mark.parametrize(
    ("said", "packs"),
    [
        (None, None),
        ([], None),
        ({}, frozenset()),
        ({"KSampler": {"python_module": "nodes"}, "X": {"python_module": "comfy_extras.nodes_x"}}, frozenset()),
        ({"A": {"python_module": "custom_nodes.ComfyUI-A.b"}, "B": 3}, frozenset({"ComfyUI-A.b"})),
        ({"A": {"python_module": "custom_nodes.a"}, "B": {"python_module": "custom_nodes.a"}}, frozenset({"a"})),
    ],
)
def test_what_it_has_loaded_is_in_object_info(said: object, packs: frozenset[str] | None) -> None:
    """A pack is named by its folder; ComfyUI's own nodes are none."""
    assert packs_in(said) == packs


@pytest.mark.parametrize(
    ("code", "none"),
    [
        ("NODE_CLASS_MAPPINGS = {}", True),
        ("NODE_CLASS_MAPPINGS: dict = {}\n__all__ = ['NODE_CLASS_MAPPINGS']", True),
        ("NODE_CLASS_MAPPINGS = {'A': A}", False),
        ("NODE_CLASS_MAPPINGS = {}\nNODE_CLASS_MAPPINGS.update(more)", False),
        ("NODE_CLASS_MAPPINGS = {}\nNODE_CLASS_MAPPINGS['A'] = A", False),
        ("NODE_CLASS_MAPPINGS = {}\nfrom .nodes import NODE_CLASS_MAPPINGS", False),
        ("NODE_CLASS_MAPPINGS = {}\nfrom .nodes import *", False),
        ("x = 1", False),
        ("def (:", False),
    ],
)
def test_a_pack_without_node_classes_says_so_itself(tmp_path: Path, code: str, none: bool) -> None:
    """Only then is it not missed."""
    (tmp_path / "__init__.py").write_text(code)
    assert has_no_classes(tmp_path) is none
    assert not has_no_classes(tmp_path / "nothing")
