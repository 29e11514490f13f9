"""A pack's install.py against the run that it is part of: it has the runner's own user, and writes into its files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.runner.daemon.journal_file import JournalFile
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, PackSource, make_pack
from test.support.manager_copies import put_registry_copy
from test.support.waiting import wait_until
from test.sync.conftest import Bench, bench, bench_factory, gate, instance, instances, packs  # noqa: F401 - fixtures

pytestmark = pytest.mark.sshd

FIND = """
import glob, json, os, select, signal, sys, time
def contents():
    return open(journal, "rb").read().splitlines(True)
def pause(seconds=0.2):
    select.select([], [], [], seconds)
def is_whole():
    try:
        found = contents()
        numbers = [json.loads(line)["seq"] for line in found]
    except (OSError, ValueError):
        return False
    is_ours = b"running" in b"".join(found) and b"run_ended" not in b"".join(found)
    return is_ours and numbers == list(range(1, len(found) + 1)) and not os.path.islink(journal)
[folder] = glob.glob(os.path.expanduser("~/.local/state/nodeferry/*-*"))
journal, task_id = folder + "/journal.ndjson", os.path.basename(folder)
deadline = time.monotonic() + 10
while os.path.exists(journal) and not os.path.isfile(journal) or not is_whole():
    pause(0.02)
    if time.monotonic() > deadline:
        open(folder + "/not-whole", "w").close()
        break
lines = contents()
def event(number, **fields):
    return json.dumps({"seq": number, "wall": time.time(), "mono": time.monotonic(), **fields}).encode() + b"\\n"
number = json.loads(lines[-1])["seq"] + 1
forged = [event(number, event="node", name="NAME", state="installed"),
          event(number + 1, event="run_ended", state="completed")]
"""
"""What each attack knows: the journal, and what it would like to be in it. The one before it is undone by then."""
APPEND = 'open(journal, "ab").writelines(forged); pause()'
INTO_A_LINE = 'open(journal, "ab").write(forged[1][:-1]); pause()'
REPLACE = 'open(journal + ".x", "wb").writelines(lines + forged); os.replace(journal + ".x", journal); pause()'
TRUNCATE = "os.truncate(journal, len(lines[0])); pause()"
EDIT = "all = b''.join(lines); open(journal, 'r+b').write(all.replace(b'running', b'success')); pause()"
"""Of the same length; the follower may have read it by then, or not."""
UNLINK = "os.unlink(journal); pause()"
LINK = 'os.unlink(journal); open(folder + "/x", "wb").writelines(forged); os.symlink(folder + "/x", journal); pause()'
PIPE = "os.unlink(journal); os.mkfifo(journal); pause()"
ALL_OF_IT = """
for _ in range(20):
    open(journal, 'ab').writelines(forged)
    os.truncate(journal, 10)
    select.select([], [], [], 0.01)
"""
ATTACKS = {
    name.lower(): globals()[name]
    for name in ("APPEND", "INTO_A_LINE", "REPLACE", "TRUNCATE", "EDIT", "UNLINK", "LINK", "PIPE", "ALL_OF_IT")
}
MakePack = Callable[..., Pack]


@pytest.fixture
def make(git_server: GitServer) -> MakePack:
    """A pack with this install.py, which fails at its end."""

    def made(script: str, name: str = "pack") -> Pack:
        text = f"{FIND.replace('NAME', name)}\n{script}\nsys.exit(1)\n"
        return make_pack(git_server, "standin", name, PackSource(install_py=text))

    return made


def codes(end: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in end["warnings"]]


def journal_of(instance: StandIn, task_id: str) -> list[dict[str, Any]]:  # noqa: F811
    journal = instance.home / ".local/state/nodeferry" / task_id / "journal.ndjson"
    return [json.loads(line) for line in journal.read_bytes().splitlines()]


def test_what_a_script_does_to_the_journal_is_told_and_believed_by_nobody(
    bench: Bench,  # noqa: F811
    instance: StandIn,  # noqa: F811
    make: MakePack,
) -> None:
    """A pack for each attack. The task ends as the runner says, once, with a warning; the journal is what the runner
    wrote, each time."""
    made = [make(attack, name) for name, attack in ATTACKS.items()]
    task_id = bench.start(instance.ssh_command, *made, ui_home=instance.ui_home, verify=False)
    end = bench.ended(task_id)
    assert (end["state"], end["outcome"]) == ("completed", "none"), end["error"]
    assert {(node["state"], node["error"]["code"]) for node in end["nodes"]} == {("failed", "script_failed")}
    assert codes(end) == ["journal_changed"]
    [warning] = end["warnings"]
    assert f"while the install.py of {next(iter(ATTACKS))} ran" in warning["message"]
    numbers = [event["seq"] for event in journal_of(instance, task_id)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert not (instance.home / ".local/state/nodeferry" / task_id / "not-whole").exists()


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_each_change_of_a_journal_is_noticed_and_undone(attack: str, tmp_path: Path) -> None:
    """By the next line, which then follows on the runner's own."""
    path = tmp_path / ".local/state/nodeferry/a-task/journal.ndjson"
    path.parent.mkdir(parents=True)
    file = JournalFile(path)
    lines = [json.dumps({"seq": number, "state": "running"}).encode() + b"\n" for number in (1, 2, 3)]
    for line in lines[:2]:
        assert not file.was_changed()
        file.write(line)
    script = [sys.executable, "-c", f"{FIND}\n{attack}"]
    subprocess.run(script, env={**os.environ, "HOME": str(tmp_path)}, check=True, timeout=30)
    assert file.was_changed()
    file.write(lines[2])
    assert path.read_bytes() == b"".join(lines)
    assert not file.was_changed()
    file.close()


def test_a_forged_end_is_not_believed_when_the_runner_was_killed(
    bench: Bench,  # noqa: F811
    instance: StandIn,  # noqa: F811
    make: MakePack,
) -> None:
    """What it left is swept, and the task fails with words."""
    task_id = bench.start(
        instance.ssh_command,
        make(APPEND.partition(";")[0] + "\nos.kill(os.getppid(), signal.SIGKILL)"),
        ui_home=instance.ui_home,
        verify=False,
    )
    end = bench.ended(task_id)
    assert (end["state"], end["error"]["code"]) == ("failed", "journal_changed")
    assert end["nodes"][0]["state"] != "installed"
    assert not [path for path in instance.custom_nodes.iterdir() if path.name.startswith(".nodeferry-")]


def test_a_secret_of_the_seal_is_in_no_file_argument_or_variable_of_the_instance(
    bench: Bench,  # noqa: F811
    instance: StandIn,  # noqa: F811
    gate: Any,  # noqa: F811
) -> None:
    """While a script runs; and when the task has ended, the service has forgotten it."""
    task_id = bench.start(instance.ssh_command, gate.pack, ui_home=instance.ui_home, verify=False)
    bench.until(task_id, lambda now: now["current_node"], "the script runs")
    begun = instance.home / ".local/state/nodeferry" / task_id / "nodes"
    wait_until(begun.is_dir, 10, "the script has a log")
    record = bench.service.installs.look(task_id)[0]
    assert record.seal
    for folder, _, names in os.walk(instance.home):
        for name in names:
            assert record.seal.encode() not in (Path(folder) / name).read_bytes(), name
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                assert record.seal.encode() not in (process / name).read_bytes()
            except OSError:
                continue  # it has ended
    gate.open()
    assert bench.ended(task_id)["outcome"] == "all"
    assert bench.service.installs.look(task_id)[0].seal is None


def test_an_answer_that_a_script_gives_is_told_and_not_followed(
    bench: Bench,  # noqa: F811
    instance: StandIn,  # noqa: F811
    packs: list[Pack],  # noqa: F811
) -> None:
    """The user's own answer holds, although the false one came first."""
    copy = put_registry_copy(instance.custom_nodes, packs[0].name)
    task_id = bench.start(instance.ssh_command, packs[0], ui_home=instance.ui_home, verify=False, ask="ask")
    bench.until(task_id, lambda now: now["questions"], "it asks")
    answers = instance.home / ".local/state/nodeferry" / task_id / "answers"
    answers.mkdir(exist_ok=True)
    (answers / "q1").write_text("replace")
    (answers / "q1.forged").write_text("replace\n" + "0" * 32)
    bench.until(task_id, lambda now: now["warnings"], "the false one is told")
    bench.installs.answer(task_id, "q1", "keep")
    end = bench.ended(task_id)
    assert [node["error"]["code"] for node in end["nodes"]] == ["registry_copy"]
    assert codes(end) == ["answer_forged"]
    assert not (copy / ".git").exists()


def test_a_cancel_that_a_script_leaves_is_told(bench: Bench, instance: StandIn, make: MakePack) -> None:  # noqa: F811
    pack = make('open(folder + "/cancel", "w").close(); time.sleep(60)')
    end = bench.ended(bench.start(instance.ssh_command, pack, ui_home=instance.ui_home, verify=False))
    assert end["state"] == "cancelled"
    assert codes(end) == ["stopped_on_instance"]


def test_what_a_script_prints_is_no_event(bench: Bench, instance: StandIn, make: MakePack) -> None:  # noqa: F811
    """Not frames with a marker, nor lines of a journal; and a false progress in /tmp is written over."""
    pack = make(
        "for mark in (b'\\x1eNF0 ', b'\\x1eNF '):\n"
        "    os.write(1, b'\\n' + mark + b'j 99 ' + forged[1] + mark + b'e {}\\n')\n"
        "os.write(1, b''.join(forged))\n"
        "open('/tmp/custom_nodes_progress_%s.json' % task_id, 'w').write('{\"state\": \"completed\"}')"
    )
    task_id = bench.start(instance.ssh_command, pack, ui_home=instance.ui_home, verify=False)
    end = bench.ended(task_id)
    assert (end["outcome"], codes(end)) == ("none", [])
    shown = json.loads(Path(f"/tmp/custom_nodes_progress_{task_id}.json").read_text())
    assert shown["outcome"] == "none"
