"""The runner's file by hand: a question is asked on a terminal, and only there."""

from __future__ import annotations

import pytest

from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from test.runner.rig import Rig
from test.runner.test_standalone import Hand
from test.support.manager_copies import put_disabled, put_registry_copy, put_unpacked
from test.support.terminal import on_a_terminal

pytestmark = pytest.mark.slow


def test_a_terminal_asks_and_a_script_does_not(rig: Rig, git_server: GitServer) -> None:
    """Whatever its flag says: nobody could answer a script."""
    hand = Hand(rig)
    packs = [make_pack(git_server, "o", name) for name in ("copied", "disabled", "unpacked")]
    urls = [word for pack in packs for word in ("--url", pack.url)]
    put_registry_copy(rig.custom_nodes, "copied")
    put_disabled(rig.custom_nodes, "disabled")
    put_unpacked(rig.custom_nodes, "unpacked")
    script = hand.types(*urls, "--ask", "ask")
    assert script.returncode == 1
    assert "question q1: keep (not_asked)" in script.stdout
    assert "Warning: Nobody was asked, so what changes least was done: Leave as it is." in script.stdout
    with on_a_terminal(hand.argv(*urls), rig.environ) as screen:
        screen.read_until("Answer q1 with a number or a word, or press Enter for keep:", 30)
        assert "2  replace: Replace by the repository" in screen.text
        screen.type("burn\n")
        screen.read_until("Answer with one of: keep, replace.")
        screen.type("replace\n")
        screen.read_until("Answer q2 with", 30)
        assert "1 node pack was installed from an archive" in screen.text
        screen.type("replace\n")
        screen.read_until("Answer q3 with", 30)
        screen.type("\n")
        screen.read_until("question q3: keep (user)")
        screen.read_until("2 of 3 node packs are installed", 30)
        assert screen.process.wait(30) == 3
        hand._clean(screen.text.replace("\r", ""))
    for name in ("copied", "unpacked"):
        assert (rig.custom_nodes / name / ".git").is_dir()
