"""The bench of real workflow files, over made ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.workflow_packs import main

_HUB = "https://github.com/"


def _play(folder: Path, files: dict[str, Any], truth: dict[str, dict[str, list[str]]]) -> int:
    (folder / "files").mkdir()
    for name, value in files.items():
        (folder / "files" / name).write_text(value if isinstance(value, str) else json.dumps(value))
    packs = {"a/foo": ["Foo", "Twice"], "b/bar": ["Twice", "Bar"]}
    known = {_HUB + name: [classes, {}] for name, classes in packs.items()}
    (folder / "extension-node-map.json").write_text(json.dumps(known))
    (folder / "truth.json").write_text(json.dumps(truth))
    return main(["--files", f"{folder}/files", "--map", str(folder), "--truth", f"{folder}/truth.json", "--classes"])


def _graph(*classes: str) -> dict[str, Any]:
    return {"nodes": [{"id": number, "type": name} for number, name in enumerate(classes)]}


def test_files_are_judged_by_the_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"good.json": _graph("KSampler", "Foo"), "asked.json": _graph("Twice"), "new.json": _graph("Bar")}
    truth = {"good.json": {"Foo": [_HUB + "A/foo"]}, "asked.json": {"Twice": [_HUB + "b/bar"]}}
    assert _play(tmp_path, files, truth) == 0
    printed = capsys.readouterr().out
    assert "| good.json | workflow JSON | foo | 1 right | right |" in printed
    assert "| asked.json | workflow JSON | none | 1 question | right |" in printed
    assert "| new.json | workflow JSON | bar | 1 unproven | unproven |" in printed
    assert "3 files: 2 right, 1 unproven" in printed


def test_a_wrong_pack_and_a_file_that_is_none_are_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _play(tmp_path, {"x.json": _graph("Foo"), "y.json": "<html>"}, {"x.json": {"Foo": [_HUB + "c/c"]}}) == 1
    captured = capsys.readouterr()
    assert "1 wrong" in captured.out
    assert "1 unread" in captured.out
    assert "wrong: Foo" in captured.err
