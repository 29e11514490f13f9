"""docs/options.md: each cell of its table is what really happens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.entry import cli
from app.domain.address import parse_address
from app.domain.request import InstallRequest
from app.domain.stored_request import read_request, store_request
from app.protocol import progress_json
from app.protocol.options import OPTIONS, RESTART, RETRY, ROLLBACK, RUNNER, SERVICE, Option, Options
from app.protocol.states import TaskState
from app.runner.standalone.command_line import request_of
from app.settings import Settings
from app.sync.http import bodies
from app.sync.installs import runner_request
from test.cli.scripted_service import Answer, Script, serving
from test.house.sources import ROOT
from test.lock.test_forms import LOCK
from test.options.readers import readers_of
from test.options.samples import SAMPLES, flags
from tools.option_tables import CELLS, YES

SSH = "ssh -p 12345 root@ssh6.vast.ai"
PLACE = ["--ui-home", "/workspace/ComfyUI"]
TASK_ID = "550e8400-e29b-41d4-a716-446655440000"
DOCUMENT = (ROOT / "docs" / "options.md").read_text("utf-8")
SETTINGS = Settings(data_dir=Path("/nowhere"))
WEBUI = ROOT / "app" / "webui"


class Refusing(Script):
    """A service that keeps what it is asked for, and starts nothing."""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        return 400, {"success": False, "error": "refused", "message": "Not now.", "hint": ""}


def documented(option: Option, place: str) -> str:
    """The cell of docs/options.md."""
    row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{option.name}` | {YES}"))
    return row.strip("| ").split(" | ")[1 + CELLS.index(place)]


def asked(option: Option) -> InstallRequest:
    """An install with this option, that does not have its default."""
    options = Options(**{option.name: SAMPLES[option.name]})
    return InstallRequest(SSH, parse_address(SSH), manifest={"lock": LOCK}, options=options)


def is_in(option: Option, options: Options) -> bool:
    """Whether the option arrived, and no other did."""
    arrived = options == Options(**{option.name: SAMPLES[option.name]})
    assert arrived or options == Options(), options
    return arrived


def api(option: Option) -> bool:
    raw = {"ssh_connection": SSH, "manifest": {"lock": LOCK}, "options": {option.name: SAMPLES[option.name]}}
    return is_in(option, bodies.install_request(raw, SETTINGS).options)


def sent(*words: str) -> dict[str, Any] | None:
    """What a command line sends to the service; None where it is refused before."""
    script = Refusing([])
    with serving(script) as url:
        result = CliRunner().invoke(cli, [*words, "--server", url])
    assert result.exit_code == 1, result.output
    return script.seen[0][2] if script.seen else None


def in_json(option: Option) -> Any:
    """The sample as a request has it."""
    return json.loads(json.dumps(SAMPLES[option.name]))


def install(option: Option) -> bool:
    body = sent("install", SSH, *PLACE, *flags(option))
    return body is not None and body["options"] == {option.name: in_json(option)}


def workflow(option: Option) -> bool:
    """A step says what the option would say."""
    usual, body = sent("workflow", SSH, *PLACE), sent("workflow", SSH, *PLACE, *flags(option))
    assert usual is not None and "options" not in usual
    if body is None:
        return False
    if option.step:
        assert "options" not in body
        return (option.step in body["steps"]) is SAMPLES[option.name] is not (option.step in usual["steps"])
    return bool(body["options"] == {option.name: in_json(option)})


def standalone(option: Option, folder: Path, capsys: pytest.CaptureFixture[str]) -> bool:
    lock = folder / "lock.json"
    lock.write_text(json.dumps(LOCK))
    try:
        request = request_of(["--lock", str(lock), *flags(option)])
    except SystemExit as exc:
        assert (exc.code, option.flag in capsys.readouterr().err) == (2, True)
        return False
    return is_in(option, Options.read(request["options"]))


def record(option: Option) -> bool:
    stored = json.loads(json.dumps(store_request(asked(option))))
    return is_in(option, read_request(stored).options)


def runner(option: Option) -> bool:
    """It is sent, and somebody reads it there."""
    request = runner_request.spec_of(TASK_ID, asked(option), SETTINGS).runner_request
    arrived = is_in(option, Options.read(json.loads(json.dumps(request))["options"]))
    assert arrived is (option.name in request["options"]) is (RUNNER in readers_of(option.name))
    return arrived


def retry(option: Option) -> bool:
    failed = replace(progress_json.initial(TASK_ID, 0.0, auto_installer=False), state=TaskState.FAILED)
    return is_in(
        option, runner_request.retry_of(TASK_ID, asked(option), failed, (), automatic=False, schemes=("https",)).options
    )


def rollback(option: Option) -> bool:
    return is_in(option, runner_request.rollback_of(TASK_ID, asked(option)).options)


def restart(option: Option) -> bool:
    """A restart restarts, whatever the task before it was asked for."""
    options = runner_request.restart_of(TASK_ID, asked(option)).options
    assert options.restart
    return is_in(option, options if option.name == "restart" else replace(options, restart=False)) and (
        option.name != "restart" or RESTART in option.kept_by
    )


def pages(option: Option) -> bool:
    """A field of the request that a form sends; the start page sends a workflow, with steps."""
    scripts = [(WEBUI / "static" / "js" / path).read_text("utf-8") for path in ("pages/start.js", "fleet/form.js")]
    found = [bool(re.search(rf"\b{option.name}: |options\.{option.name} = ", script)) for script in scripts]
    if option.step:
        found[0] = f'"{option.step}"' in scripts[0]
    return any(found)


CHECKS: dict[str, Callable[[Option], bool]] = {
    "API": api,
    "`install`": install,
    "`workflow`": workflow,
    "record": record,
    SERVICE: lambda option: SERVICE in readers_of(option.name),
    RUNNER: runner,
    RETRY: retry,
    ROLLBACK: rollback,
    RESTART: restart,
    "pages": pages,
}


@pytest.mark.parametrize("place", CELLS)
@pytest.mark.parametrize("name", OPTIONS)
def test_a_cell_is_what_happens(name: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The option alone, with a value that is not its default: it arrives, or it does not."""
    option = OPTIONS[name]
    arrives = standalone(option, tmp_path, capsys) if place == "standalone" else CHECKS[place](option)
    cell = documented(option, place)
    assert cell.startswith(YES) is arrives
    assert arrives or cell == "–"
    assert f"`{option.flag}`" in cell or not arrives or place not in {"`install`", "`workflow`", "standalone"}


def test_the_runners_flags_stand_in_its_document() -> None:
    usage = (ROOT / "docs" / "runner.md").read_text("utf-8").split("## By hand")[1].split("```")[1]
    offered = [option.flag for option in OPTIONS.values() if not option.not_standalone]
    assert [flag for flag in offered if f"[{flag}" not in usage] == []


def test_the_api_says_more_about_options_that_there_are() -> None:
    text = (ROOT / "docs" / "api.md").read_text("utf-8").split("<!-- end of table options -->")[1].split("\n### ")[0]
    assert set(re.findall(r"^- `(\w+)`:", text, re.MULTILINE)) <= set(OPTIONS)
