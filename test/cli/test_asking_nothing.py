"""`--yes` at a terminal: nobody is asked which pack a class is of, either."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from test.api.client import closed_address
from test.support.service import ServiceProcess
from test.support.terminal import on_a_terminal

pytestmark = pytest.mark.slow


def test_an_open_question_is_named_and_not_asked(tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    file.write_text(json.dumps({"nodes": [{"id": 1, "type": "Nowhere"}]}), "utf-8")
    with ServiceProcess(tmp_path / "service", node_map_url="", stats_url="") as service:
        what = ["install", f"ssh {closed_address()}", "--workflow", str(file), "--server", service.url]
        command = [sys.executable, "-m", "app.cli", *what]
        with on_a_terminal([*command, "--yes"], os.environ) as terminal:
            terminal.read_to_end()
            assert '--answer "pack:Nowhere=' in terminal.text
            assert terminal.process.wait(10) == 1
        with on_a_terminal(command, os.environ) as terminal:
            terminal.read_until("or skip:")
