"""Which ComfyUI on which machine: said before anything is changed, and asked where it is in doubt."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.entry import cli
from app.cli.program import RUN_FILE
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, PackSource, make_pack
from test.cli.scripted_service import Script, serving
from test.cli.stories import begun, ended
from test.cli.test_install_for_real import environment
from test.support.running_comfyui import running_comfyui
from test.support.terminal import on_a_terminal

LIST = ["--url", "https://github.com/o/r"]


def sent(*words: str, home: Path | None = None) -> tuple[str, dict[str, Any]]:
    """What a command line prints, and the options and folder that it sends."""
    script = Script([ended("all").progress])
    with serving(script) as url:
        env = {"HOME": str(home)} if home else None
        result = CliRunner().invoke(cli, ["install", *words, *LIST, "--server", url], env=env)
    assert result.exit_code == 0, result.output
    body = script.seen[0][2]
    return result.stdout, {**body.get("options", {}), "ui_home": body.get("ui_home")}


@pytest.mark.parametrize(
    ("words", "care"),
    [
        (["ssh", "-p", "1", "root@ssh6.vast.ai"], "sure"),
        (["ssh", "-p", "1", "root@127.0.0.1"], "confirmed"),
        (["root@localhost"], "confirmed"),
        (["root@[::1]:22"], "confirmed"),
        (["ssh", "-J", "root@jump.example", "root@127.0.0.1"], "sure"),
        (["my-alias"], "confirmed"),
        (["root@127.0.0.1", "--which-comfyui", "guess"], "guess"),
        (["root@127.0.0.1", "--ui-home", "/x"], None),
    ],
)
def test_a_folder_that_was_not_named_is_in_doubt(words: list[str], care: str | None, tmp_path: Path) -> None:
    """On another machine where several would fit, behind this machine's own address always; an alias that leads there
    too."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host my-alias\n  HostName 127.0.0.1\n")
    assert sent(*words, home=tmp_path)[1].get("which_comfyui") == care


def test_the_machine_and_the_folder_are_said_first() -> None:
    """As far as they are known; what the run has found comes as soon as it has, once."""
    said, _ = sent("ssh", "-p", "12345", "root@ssh6.vast.ai", "--ui-home", "/workspace/ComfyUI")
    assert said.splitlines()[0] == "Machine: root@ssh6.vast.ai, port 12345; ComfyUI: /workspace/ComfyUI"
    assert sent("root@h")[0].splitlines()[0] == "Machine: root@h"


def test_the_folder_that_was_found_is_said_once() -> None:
    story = begun()
    now = dict(story.progress)
    now["phases"] = [{"name": "probe", "status": "running", "detail": "ComfyUI in /w/ComfyUI does not run"}]
    last = ended("all").progress
    script = Script([now, {**now, "revision": now["revision"] + 1}, {**last, "revision": last["revision"] + 99}])
    with serving(script) as url:
        lines = CliRunner().invoke(cli, ["install", "root@h", *LIST, "--server", url]).stdout.splitlines()
    assert lines.count("ComfyUI in /w/ComfyUI does not run.") == 1


def test_a_script_is_not_asked() -> None:
    """--yes is for the packs' questions; a doubt about the folder then ends the run, on its machine."""
    assert sent("root@127.0.0.1", "--yes")[1] == {"ask": "never", "which_comfyui": "confirmed", "ui_home": None}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, as sshd wants it."""
    with tempfile.TemporaryDirectory(prefix="nf-which-") as path:
        yield Path(path)


@pytest.mark.sshd
@pytest.mark.slow
@pytest.mark.alone
def test_a_try_on_this_computer_does_not_go_into_another_tree(folder: Path) -> None:
    """The demo's line without its folder, while a ComfyUI of another tree runs here: a script is refused, a person is
    asked and may say no, and with the folder it goes where it should. The other tree never changes."""
    with (
        GitServer(folder / "git") as server,
        StandIn(folder / "demo", with_pip=False) as demo,
        StandIn(folder / "other", name="other", with_pip=False) as other,
        running_comfyui(other),
    ):
        pack = make_pack(server, "owner", "Tried", PackSource())
        words = ["ssh", "-p", str(demo.port), "-i", str(demo.client_key), f"{demo.user}@127.0.0.1"]
        command = [sys.executable, str(RUN_FILE), "install", *words, "--url", pack.url, "--no-verify"]
        command += ["--data-dir", str(folder / "service")]
        refused = _run(folder, *command, "--yes")
        assert refused.returncode == 1, refused.stdout + refused.stderr
        assert str(other.ui_home) in refused.stdout and "--ui-home" in refused.stdout
        with on_a_terminal(command, environment(folder)) as screen:
            screen.read_until("Your answer [none]: ", 60)
            assert os.path.basename(str(other.root)) in screen.text
            screen.type("\n")
            assert screen.process.wait(60) == 1
        assert not _there(pack, demo) and not _there(pack, other)
        named = _run(folder, *command, "--yes", "--ui-home", str(demo.ui_home))
        assert named.returncode == 0, named.stdout + named.stderr
        assert f"ComfyUI in {demo.ui_home} does not run" in named.stdout
        assert _there(pack, demo) and not _there(pack, other)


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )


def _there(pack: Pack, standin: StandIn) -> bool:
    return (standin.custom_nodes / pack.name).exists()
