"""What the terminal says of a snapshot's entries that cannot be had, and of files in Windows' encodings."""

from __future__ import annotations

import io
from pathlib import Path

import click
import pytest
from rich.console import Console

from app.cli.api.manifest_sources import manifest_of
from app.cli.commands.install import show_left_out
from app.runner.standalone.command_line import request_of

HASH = "0123456789" * 4
TEXT = (
    f'{{"git_custom_nodes": {{"https://github.com/o/one": {{"hash": "{HASH}"}}, "/root/mine": {{"hash": "{HASH}"}},}}}}'
)


def test_a_line_an_entry() -> None:
    console = Console(file=io.StringIO(), width=200)
    show_left_out(console, [{"name": "kjnodes\x1b[2J", "version": "1.0", "reason": "It comes from the registry."}])
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "Not installed: kjnodes" in said and "1.0: It comes from the registry." in said and "\x1b" not in said


@pytest.mark.parametrize("option", ["lock", "snapshot"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_in_any_encoding_is_a_snapshot(option: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.write_bytes(TEXT.encode(encoding))
    with click.File("rb").convert(str(path), None, None) as file:
        assert manifest_of({option: file}) == {"manager_snapshot": TEXT}


def test_at_the_machines_own_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The standalone file reads the same, and --exact names what it would leave out."""
    path = tmp_path / "snapshot.json"
    path.write_bytes(TEXT.encode("utf-16"))
    lock = request_of(["--lock", str(path)])["manifest"]["lock"]
    assert ([pack["name"] for pack in lock["node_packs"]], lock["left_out"][0]["name"]) == (["one"], "/root/mine")
    with pytest.raises(SystemExit):
        request_of(["--lock", str(path), "--exact"])
    assert "/root/mine: It is a folder" in " ".join(capsys.readouterr().err.split())
