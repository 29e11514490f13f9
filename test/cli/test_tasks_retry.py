"""`tasks retry`: what it sends and says; over real HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from app.cli.entry import cli
from test.cli.scripted_service import Answer, Script, serving
from test.cli.stories import TASK_ID, ended

NEW = "7d1f7f0e-96d7-4a3c-9d39-6f6ad2ccf0a5"


@dataclass
class Retrying(Script):
    """A service that takes retries too."""

    refusal: Answer | None = None

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        """What this request is answered."""
        if path == f"/tasks/{TASK_ID}/retry":
            return self.refusal or (202, {"success": True, "task_id": NEW, "state": "queued", "retry_of": TASK_ID})
        return super().answer(method, path, body)


def _run(script: Script, *arguments: str) -> tuple[int, str]:
    with serving(script) as url:
        result = CliRunner().invoke(cli, ["tasks", "retry", *arguments, "--server", url])
    return result.exit_code, result.output


def test_the_new_task_is_named() -> None:
    """All that did not end well, unless packs are named."""
    script = Retrying([ended("partial").progress])
    code, output = _run(script, TASK_ID)
    assert (code, output.splitlines()[0]) == (0, f"Task {NEW} retries {TASK_ID}")
    assert f"tasks show {NEW} --follow --server http://" in output.splitlines()[1]
    _run(script, TASK_ID, "--node", "One", "--node", "Two")
    assert [body for _, _, body, _ in script.seen] == [{}, {"nodes": ["One", "Two"]}]


def test_a_refusal_is_told() -> None:
    refusal = (409, {"success": False, "error": "nothing_to_retry", "message": "Everything went well.", "hint": ""})
    code, output = _run(Retrying([ended("all").progress], refusal=refusal), TASK_ID)
    assert code != 0
    assert "Everything went well." in output
