"""`install --machines` and `fleet`: many machines on the command line, against a real service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.entry import cli
from app.cli.view.fleet import counted, fleet_status, head_line
from test.api.client import closed_address

LIST = ["--url", "https://github.com/owner/pack", "--wait-seconds", "0"]


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words], env={"NODEFERRY_DATA_DIR": str(folder / "data"), "HOME": str(folder)})


def _file(folder: Path, *lines: str) -> str:
    (folder / "machines.txt").write_text("\n".join(lines))
    return str(folder / "machines.txt")


@pytest.mark.sshd
def test_all_machines_of_a_file_and_those_that_failed_again(tmp_path: Path) -> None:
    """Each that failed is named with the reason; they are a file of machines themselves; a retry is of these alone."""
    addresses = [closed_address(), closed_address()]
    done = run(tmp_path, "install", "--machines", _file(tmp_path, "# mine", *addresses), *LIST)
    assert done.exit_code == 1, done.output
    assert "2 machines: The machine could not be reached" in done.output
    assert all(done.output.count(address) >= 1 for address in addresses)
    fleet_id = done.output.split("Fleet ")[1][:36]
    assert f"fleet retry {fleet_id}" in done.output
    failed = run(tmp_path, "fleet", "show", fleet_id[:8], "--failed")
    assert [line.split("  # ")[0] for line in failed.stdout.splitlines()] == addresses
    again = run(tmp_path, "fleet", "retry", fleet_id, "--json")
    document = json.loads(again.stdout)
    assert (again.exit_code, document["ok"], document["data"]["kinds"]) == (1, False, {"failed": 2})
    assert len(document["data"]["instances"]) == 2
    listed = run(tmp_path, "fleet", "list")
    assert fleet_id in listed.stdout
    assert "2 failed" in listed.stdout
    ended = run(tmp_path, "fleet", "cancel", fleet_id)
    assert (ended.exit_code, "already ended" in ended.output) == (1, True)


def test_lines_that_are_wrong_are_named_by_their_place(tmp_path: Path) -> None:
    """All of them, and nothing is started."""
    done = run(tmp_path, "install", "--machines", _file(tmp_path, "", "root@h", "-x root@i", "root@h:22"), *LIST)
    assert done.exit_code == 1
    assert "line 3: The" in done.output
    twins = run(tmp_path, "install", "--machines", _file(tmp_path, "root@h", "", "ssh -p 22 root@h"), *LIST)
    assert "line 3 is the same instance and ui_home as line 1: root@h:22." in twins.output
    assert "No fleets yet." in run(tmp_path, "fleet", "list").stdout


@pytest.mark.parametrize("words", [["install"], ["install", "root@h", "--machines", "-"]])
def test_either_a_machine_or_a_file_of_them(tmp_path: Path, words: list[str]) -> None:
    done = CliRunner().invoke(cli, words, env={"NODEFERRY_DATA_DIR": str(tmp_path)}, input="root@i\n")
    assert done.exit_code == 2, done.output
    assert "SSH_COMMAND" in done.output


@pytest.mark.parametrize(
    ("kinds", "needing", "require", "status"),
    [
        ({"ready": 9}, 0, None, 0),
        ({"ready": 8, "failed": 1}, 1, None, 3),
        ({"ready": 8, "failed": 1}, 1, "all", 1),
        ({"ready": 8, "failed": 1}, 1, "any", 0),
        ({"partial": 9}, 9, None, 3),
        ({"failed": 8, "lost": 1}, 9, None, 1),
        ({"stopped": 9}, 0, None, 130),
        ({"ready": 8, "stopped": 1}, 0, None, 3),
    ],
)
def test_the_exit_status_tells_the_outcome(kinds: dict[str, int], needing: int, require: str, status: int) -> None:
    progress = {"in_progress": False, "kinds": kinds, "needing": needing}
    assert fleet_status(progress, require=require) == status


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_all_of_a_fleet_is_one_line(width: int) -> None:
    """What is not known to fit is left out from the end."""
    kinds = {"ready": 284, "working": 30, "question": 2, "queued": 668, "partial": 7, "failed": 4, "stopped": 5}
    progress = {"in_progress": True, "kinds": kinds, "needing": 13}
    line = head_line(progress, width, "3:12")
    assert line.cell_len <= width
    assert "284 of 1,000 ready · 13 need you" in line.plain
    assert counted(progress)["working"] == 30
