"""Random requests made of the specification, against a real service: a fixed sample of what `make prove-api` sends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench.api.__main__ import main
from bench.api.rounds import read


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_answered_that_the_specification_does_not_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some 600 requests, fewer on a slow machine; all checks; no 5xx."""
    main(["--requests", "500", "--seconds", "30", "--examples", "2", "--output", str(tmp_path)])
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("WRONG")] == []
    found = re.search(r"^(\d+) requests, \d+ checks, 0 faults", said, re.MULTILINE)
    assert found is not None, said
    assert int(found[1]) >= 300, said
    assert not re.search(r"\b500: ", said)


@pytest.mark.parametrize(
    ("name", "status", "faults"),
    [("not_a_server_error", 500, 1), ("ignored_auth", 429, 0), ("ignored_auth", 200, 1)],
)
def test_what_schemathesis_reports_is_a_fault(tmp_path: Path, name: str, status: int, faults: int) -> None:
    """But for one: of many wrong tokens not each is answered 401."""
    check = {"name": name, "status": "failure", "failure_info": {"failure": {"title": "t", "message": "m"}}}
    interaction = {"request": {"method": "GET", "uri": "/"}, "response": {"status_code": status}}
    recorder = {"interactions": {"a": interaction}, "checks": {"a": [check, {"name": "other", "status": "success"}]}}
    (tmp_path / "r").write_text(json.dumps({"ScenarioFinished": {"recorder": recorder}}) + "\n", "utf-8")
    made = read(1, tmp_path / "r")
    assert (made.requests, made.checks, len(made.faults)) == (1, 2, faults)


def test_an_error_of_the_run_is_a_fault(tmp_path: Path) -> None:
    """Such as an answer that did not come in time."""
    (tmp_path / "r").write_text('{"NonFatalError": {"label": "GET /", "value": {"type": "ReadTimeout"}}}\n', "utf-8")
    assert len(read(1, tmp_path / "r").faults) == 1
