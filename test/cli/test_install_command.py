"""`install`: what it sends, what it shows, how it exits; over real HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from app.cli.entry import cli
from app.cli.view.plan import show_changes
from test.cli.scripted_service import Script, serving
from test.cli.stories import TASK_ID, ended

SSH = "ssh -p 12345 root@ssh6.vast.ai"


def run(script: Script, *arguments: str, token: str = "") -> Result:
    """Run a command against a service that plays `script`."""
    with serving(script) as url:
        return CliRunner().invoke(cli, [*arguments, "--server", url], env={"NODEFERRY_TOKEN": token})


def test_it_works() -> None:
    """Every change is told, the table and the sentence end it, the exit status is 0."""
    result = run(Script(ended("all").shown[-4:]), "install", SSH)
    assert result.exit_code == 0, result.output
    assert f"Task {TASK_ID}" in result.stdout
    assert "Gamma: Ready" in result.stdout
    assert result.stdout.rstrip().endswith("Installed: 3 of 3 node packs are installed; restart ComfyUI to load them.")


@pytest.mark.parametrize(("outcome", "status"), [("partial", 3), ("none", 1), ("failed", 1), ("cancelled", 130)])
def test_the_exit_status_tells_the_outcome(outcome: str, status: int) -> None:
    """Scripts rely on it."""
    assert run(Script([ended(outcome).progress]), "install", SSH).exit_code == status


def test_it_sends_what_was_asked_and_nothing_else() -> None:
    """The service's defaults hold for the rest."""
    script = Script([ended("all").progress])
    options = ["--url", "https://a/b", "--url", "https://c/d", "--no-scripts", "--wait-seconds", "0"]
    run(script, "install", SSH, "--ui-home", "/workspace/ComfyUI", *options, token="secret")
    _method, path, body, authorization = script.seen[0]
    assert path == "/ssh/install-custom-nodes"
    assert body.pop("idempotency_key")
    assert body == {
        "ssh_connection": SSH,
        "ui_home": "/workspace/ComfyUI",
        "manifest": {"urls": ["https://a/b", "https://c/d"]},
        "options": {"run_scripts": False, "wait_seconds": 0.0},
    }
    assert authorization == "Bearer secret"


def test_a_csv_file_is_sent_as_its_text(tmp_path: Path) -> None:
    """A byte order mark, as spreadsheets write it, is not part of it."""
    (tmp_path / "list.csv").write_text("\ufeffName,RepoUrl,Subfolder,RequirementsFile\n", "utf-8")
    script = Script([ended("all").progress])
    run(script, "install", SSH, "--csv", str(tmp_path / "list.csv"))
    assert script.seen[0][2]["manifest"] == {"csv": "Name,RepoUrl,Subfolder,RequirementsFile\n"}


@pytest.mark.parametrize(
    ("option", "content", "manifest"),
    [
        (
            "--nodes",
            '[{"name": "a", "repo_url": "https://a/b"}]',
            {"nodes": [{"name": "a", "repo_url": "https://a/b"}]},
        ),
        ("--nodes", '{"urls": ["https://a/b"]}', {"urls": ["https://a/b"]}),
        ("--lock", '{"packs": []}', {"lock": {"packs": []}}),
        ("--lock", '{"success": true, "lock": {"packs": []}}', {"lock": {"packs": []}}),
        ("--snapshot", "git_custom_nodes: {}\n", {"manager_snapshot": "git_custom_nodes: {}\n"}),
    ],
)
def test_every_form_of_a_list_is_taken(tmp_path: Path, option: str, content: str, manifest: dict[str, object]) -> None:
    """From a file or, with -, from stdin."""
    (tmp_path / "list").write_text(content)
    script = Script([ended("all").progress])
    run(script, "install", SSH, option, str(tmp_path / "list"))
    assert script.seen[0][2]["manifest"] == manifest
    script = Script([ended("all").progress])
    with serving(script) as url:
        CliRunner().invoke(cli, ["install", SSH, option, "-", "--server", url], input=content)
    assert script.seen[0][2]["manifest"] == manifest


def test_a_list_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    """Before anything is sent."""
    for option, content in (("--lock", "{"), ("--nodes", "3")):
        (tmp_path / "list").write_text(content)
        result = run(Script([]), "install", SSH, option, str(tmp_path / "list"))
        assert result.exit_code == 1 and result.stderr.startswith(f"Error: {tmp_path / 'list'} ")


def test_every_option_reaches_the_service() -> None:
    """Under the API's names."""
    script = Script([ended("all").progress])
    words = "--existing update --no-verify --restart --on-failure rollback --require all --exact --repo https://a/b"
    run(script, "install", SSH, *words.split(), "--host-key-sha256", "SHA256:x")
    assert script.seen[0][2]["manifest"] == {"repo": "https://a/b"}
    assert script.seen[0][2]["options"] == {
        "existing": "update",
        "verify": False,
        "restart": True,
        "on_failure": "rollback",
        "require": "all",
        "exact": True,
        "which_comfyui": "sure",
        "host_key_sha256": "SHA256:x",
    }


def test_a_plan_is_shown() -> None:
    """Each package with both versions and who wants it; nothing was changed."""
    plan: list[dict[str, Any]] = [
        {"package": "numpy", "old": "2.1", "new": "1.26", "wanted_by": ["old"]},
        {"package": "b", "new": "1"},
    ]
    result = run(Script([ended("all").progress], plan=plan), "install", SSH, "--plan-only")
    assert result.exit_code == 0, result.output
    assert "  numpy 2.1 -> 1.26 for old\n1 Python package would be added:\n  b (new) -> 1\n" in result.stdout
    assert result.stdout.rstrip().endswith("nothing was changed. Leave out --plan-only to install.")


def test_json_on_stdout_is_nothing_but_the_last_progress() -> None:
    """A program can read it."""
    last = ended("partial").progress
    result = run(Script([last]), "install", SSH, "--json")
    document = json.loads(result.stdout)
    assert document["data"] == last
    assert (document["ok"], document["exit_status"], result.exit_code) == (False, 3, 3)


def test_a_refusal_is_a_sentence_with_field_and_hint() -> None:
    """No traceback, exit status 1."""
    refusal = {
        "success": False,
        "error": "invalid_address",
        "message": "No host.",
        "hint": "Paste it.",
        "field": "ssh_connection",
    }
    result = run(Script([], start=(400, refusal)), "install", "-oProxyCommand=x@y")
    assert result.exit_code in (1, 2)
    result = run(Script([], start=(400, refusal)), "install", "nonsense")
    assert result.exit_code == 1
    assert result.stderr == "Error: No host.\n  field: ssh_connection\n  hint:  Paste it.\n"


def test_no_service_at_that_address_is_a_sentence() -> None:
    """No traceback, exit status 1, and the token is not in it."""
    result = CliRunner().invoke(
        cli, ["install", SSH, "--server", "http://127.0.0.1:9"], env={"NODEFERRY_TOKEN": "secret"}
    )
    assert result.exit_code == 1
    assert "The service at http://127.0.0.1:9 does not answer." in result.stderr
    assert "Traceback" not in result.output and "secret" not in result.output


def test_csv_and_urls_exclude_each_other(tmp_path: Path) -> None:
    """Two lists are not guessed into one."""
    (tmp_path / "list.csv").write_text("Name\n")
    result = CliRunner().invoke(cli, ["install", SSH, "--csv", str(tmp_path / "list.csv"), "--url", "https://a/b"])
    assert result.exit_code == 1 and "--csv and --url cannot be used together" in result.stderr


def test_old_tasks_can_be_removed_after_a_question() -> None:
    """What was removed is told, and what stays though it is old; without a yes nothing is asked for."""
    script = Script([ended("partial").progress])
    done = run(script, "tasks", "prune", "--older-than", "30", "--yes")
    assert done.stdout.startswith("Removed 2 records and 2 progress files, the logs of 1, 2.0 kB. 1 as old ones stay")
    assert script.seen[-1][2] == {"older_than_days": 30.0}
    asked = run(script, "tasks", "prune", "--older-than", "30")
    assert asked.exit_code == 1
    assert len(script.seen) == 1


def test_tasks_can_be_listed_shown_and_cancelled() -> None:
    """The other commands speak with the same service."""
    script = Script([ended("partial").progress])
    assert TASK_ID in run(script, "tasks", "list").stdout
    assert "Partly installed" in run(script, "tasks", "show", TASK_ID).stdout
    assert json.loads(run(script, "tasks", "show", TASK_ID, "--json").stdout)["data"]["task_id"] == TASK_ID
    assert run(script, "tasks", "show", TASK_ID, "--follow").exit_code == 3
    assert run(script, "tasks", "cancel", TASK_ID).stdout == f"{TASK_ID} is cancelling\n"


def test_an_unknown_answer_is_a_sentence() -> None:
    """A host key route that is not there answers 404."""
    result = run(Script([]), "hostkeys", "forget", "host:22")
    assert result.exit_code == 1 and "No DELETE /host-keys/host:22." in result.stderr


def test_the_settings_are_shown_without_secrets() -> None:
    """`config show` can be pasted into a report."""
    result = CliRunner().invoke(cli, ["config", "show"], env={"NODEFERRY_TOKEN": "secret", "NODEFERRY_PORT": "5005"})
    assert "port = 5005" in result.stdout and 'token = "***"' in result.stdout and "secret" not in result.stdout


def test_a_plan_says_which_wheels_are_the_users_own(capsys: pytest.CaptureFixture[str]) -> None:
    """What an instance says besides is not shown."""
    changes = [
        {"package": name, "new": "1.0", "wheel": wheel} for name, wheel in (("a", "wheelhouse"), ("b", "\x1b[2J"))
    ]
    show_changes(Console(), changes)
    assert capsys.readouterr().out.splitlines() == ["a (new) -> 1.0, from your wheelhouse", "b (new) -> 1.0"]
