"""Files of machines: what people keep, what other tools read, what a provider's command line prints."""

from __future__ import annotations

import io
import json

import pytest

from app.cli.api.machine_file import machines_in
from app.cli.errors import CliError


def read(text: str) -> list[tuple[str, dict[str, str]]]:
    return [(each.place, dict(each.entry)) for each in machines_in(io.BytesIO(text.encode()))]


def test_a_machine_a_line() -> None:
    """As parallel-ssh has them too; what stands behind # is a comment, empty lines are nothing."""
    text = "\ufeff# studio\nssh -p 12345 root@ssh6.vast.ai\r\n\nroot@10.0.0.7:2222  # the slow one\n"
    assert read(text) == [
        ("line 2", {"ssh_connection": "ssh -p 12345 root@ssh6.vast.ai"}),
        ("line 4", {"ssh_connection": "root@10.0.0.7:2222"}),
    ]


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_a_table(between: str) -> None:
    """By its columns' names; others are not looked at, empty cells hold nothing."""
    rows = [
        ["name", "ssh_connection", "ui_home"],
        ["a", "ssh -p 1 root@h", "/workspace/ComfyUI"],
        ["b", "root@i", ""],
    ]
    assert read("\n".join(between.join(row) for row in rows)) == [
        ("line 2", {"ssh_connection": "ssh -p 1 root@h", "ui_home": "/workspace/ComfyUI"}),
        ("line 3", {"ssh_connection": "root@i"}),
    ]


def test_a_table_of_hosts_and_ports() -> None:
    assert read("# from the console\nHost,Port,User\n10.0.0.7,2222,ubuntu\n10.0.0.8,,\n") == [
        ("line 3", {"ssh_connection": "ssh -p 2222 ubuntu@10.0.0.7"}),
        ("line 4", {"ssh_connection": "ssh root@10.0.0.8"}),
    ]


def test_what_vast_ai_prints() -> None:
    """`vastai show instances --raw`, and the answer of its API."""
    listed = [{"id": 1, "ssh_host": "ssh4.vast.ai", "ssh_port": 31234, "actual_status": "running"}]
    wanted = [("entry 1", {"ssh_connection": "ssh -p 31234 root@ssh4.vast.ai"})]
    assert read(json.dumps(listed)) == read(json.dumps({"instances": listed})) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names none"),
        ("# nothing\n", "names none"),
        ("host,port\n,22\n", "Line 2 names no machine"),
        ('[{"id": 2}]', "Entry 1 names no machine"),
        ('{"a": 1}', "no list"),
    ],
)
def test_what_names_no_machine_says_where(text: str, said: str) -> None:
    with pytest.raises(CliError) as refused:
        read(text)
    assert said in refused.value.message
    assert refused.value.field == "--machines"


def test_a_picture_is_no_list_of_machines() -> None:
    with pytest.raises(CliError, match="UTF-8"):
        machines_in(io.BytesIO(b"\x89PNG\xff"))
