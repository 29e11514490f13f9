"""One round of schemathesis against a service of its own, and what came of it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from test.support.service import ROOT, ServiceProcess

CONFIG = Path(__file__).with_name("schemathesis.toml")
TOKEN = "of nobody, but longer than 24 letters"
_SSH_CONFIG = "Host *\n  HostName 127.0.0.1\n  Port 1\n"
"""No connection leaves this machine, whatever name is asked for."""
_SPARE_SECONDS = 120.0
_LIMIT = (("ignored_auth", 429), ("use_after_free", 200))
"""No faults: wrong tokens are limited, so that not each of them is answered 401; a tunnel that was closed is told as
closed, and no other address is deleted and can be got."""


@dataclass(slots=True)
class Round:
    """What a round has sent and found. `statuses`: how often which was answered; `faults`: a line each."""

    seed: int
    requests: int = 0
    checks: int = 0
    seconds: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def play(seed: int, *, examples: int, seconds: float) -> Round:
    """Starts a service and sends it what `seed` makes of its specification, `examples` for each operation and phase."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="x") as name:
        folder = Path(name)
        ssh = folder / "service-home" / ".ssh"
        ssh.mkdir(parents=True, mode=0o700)
        (ssh / "config").write_text(_SSH_CONFIG, "ascii")
        report = folder / "report.ndjson"
        with ServiceProcess(folder, token=TOKEN, wait_seconds="0", connect_timeout_seconds="2") as service:
            said = _run(service.url, seed, examples, seconds, report)
            alive = service.get("/health")["success"]
        result = read(seed, report)
        if not alive or not result.requests:
            result.faults.append(f"schemathesis or the service did not do its work: {said[-2000:]}")
        return result


def _run(url: str, seed: int, examples: int, seconds: float, report: Path) -> str:
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", f"{url}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {TOKEN}", "--checks", "all", "--seed", str(seed)]
    command += ["--max-examples", str(examples), "--max-time", str(max(1, int(seconds)))]
    command += ["--report", "ndjson", "--report-ndjson-path", str(report), "--no-color"]
    done = subprocess.run(
        command,
        cwd=report.parent,  # what it remembers of a run would change the next one
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=seconds + _SPARE_SECONDS,
        check=False,
    )
    return done.stdout + done.stderr


def read(seed: int, report: Path) -> Round:
    """What schemathesis' report of a round says."""
    result = Round(seed)
    lines = report.read_text("utf-8").splitlines() if report.exists() else []
    for line in lines:
        [(kind, event)] = json.loads(line).items()
        if kind == "ScenarioFinished":
            _note(result, event.get("recorder") or {})
        elif kind == "EngineFinished":
            result.seconds = float(event["running_time"])
        elif kind in {"NonFatalError", "FatalError"}:
            result.faults.append(f"{event.get('label', '')}: {event.get('value')}")
    result.faults = list(dict.fromkeys(result.faults))
    return result


def _note(result: Round, recorder: dict[str, Any]) -> None:
    interactions = recorder.get("interactions", {})
    for interaction in interactions.values():
        result.requests += 1
        status = str(_status(interaction))
        result.statuses[status] = result.statuses.get(status, 0) + 1
    for case, checks in recorder.get("checks", {}).items():
        result.checks += len(checks)
        result.faults += _faults(interactions.get(case, {}), checks)


def _faults(interaction: dict[str, Any], checks: list[dict[str, Any]]) -> Iterator[str]:
    status = _status(interaction)
    for check in checks:
        if check["status"] == "success" or (check["name"], status) in _LIMIT:
            continue
        failure = (check.get("failure_info") or {}).get("failure", {})
        where = " ".join(str(interaction.get("request", {}).get(name, "")) for name in ("method", "uri"))
        sent, got = (
            _text(interaction.get(part), name) for part, name in (("request", "body"), ("response", "content"))
        )
        yield f"{check['name']}: {where} {sent} -> {status} {got}: {failure.get('title')}: {failure.get('message')}"[
            :1500
        ]


def _status(interaction: dict[str, Any]) -> int:
    return int((interaction.get("response") or {}).get("status_code") or 0)


def _text(part: dict[str, Any] | None, name: str) -> str:
    raw = (part or {}).get(name)
    encoded = raw.get("$base64", "") if isinstance(raw, dict) else ""
    return base64.b64decode(encoded).decode("utf-8", "replace")[:400]
