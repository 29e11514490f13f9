"""The database keeps what a task needs: its request, and its seal. No output has either's secrets."""

from __future__ import annotations

import base64
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.cli.program import RUN_FILE
from app.storage.database import open_database
from app.sync.http.spec.routes import OPERATIONS
from test.support.service import ServiceProcess

TOKEN = "Rec0rdedRec0rdedRec0rded"
ASKED = {"manifest": {"urls": ["https://host.example/o/r"]}}
KEYED = {**ASKED, "idempotency_key": f"ghp_{TOKEN}"}
"""Addresses with a login are refused; this is where a token may be pasted and kept."""
NOBODY = "ssh -p 1 root@127.0.0.1"


def database(service: ServiceProcess) -> sqlite3.Connection:
    """What an attacker has who is the service's own user."""
    return sqlite3.connect(next(service.data_dir.glob("*.db")), timeout=10)


def seal_of(service: ServiceProcess, task_id: str) -> str:
    """The secret of a task's seal."""
    with closing(database(service)) as connection:
        [(secret,)] = connection.execute("SELECT seal FROM installs WHERE task_id = ?", [task_id])
    return str(secret)


def every_form(secret: str) -> set[str]:
    """As hexadecimal digits, as bytes in base64, in capitals."""
    return {secret, secret.upper(), base64.b64encode(bytes.fromhex(secret)).decode(), secret[:24], secret[-24:]}


def outputs(service: ServiceProcess, task_id: str, workflow_id: str, fleet_id: str) -> Iterator[tuple[str, str]]:
    """Answers with their headers, pages, a stream's events, the command line, both logs of the service."""
    ids = {"<task_id>": task_id, "<run_id>": task_id, "<fleet_id>": fleet_id}
    for key in OPERATIONS:
        path = key.removeprefix("GET ")
        for place, value in ids.items():
            path = path.replace(place, value)
        if key.startswith("GET ") and "wheels" not in path:
            query = {"workflow_id": workflow_id} if path == "/workflow/state" else {}
            with requests.get(service.url + path, params=query, timeout=30, stream=True) as answer:
                body = next(answer.iter_content(65536)) if path.endswith("/events") else answer.content
                yield key, f"{answer.headers}{body.decode('utf-8', 'replace')}"
    for page in ("/", "/ui/runs", f"/ui/task/{task_id}", f"/ui/workflow/{workflow_id}", f"/ui/fleet/{fleet_id}"):
        yield page, requests.get(service.url + page, timeout=30).text
    environ = {**os.environ, "HOME": str(service.home)}
    for words in (["tasks", "show", task_id, "--json"], ["tasks", "audit", task_id, "--json"], ["tasks", "list"]):
        command = [sys.executable, str(RUN_FILE), *words, "--server", service.url]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        yield " ".join(words), done.stdout + done.stderr
    yield "the log", service.log
    yield "arguments", Path(f"/proc/{service.pid}/cmdline").read_text("utf-8")
    yield "variables", Path(f"/proc/{service.pid}/environ").read_text("utf-8", "replace")
    for file in service.data_dir.rglob("*"):
        if file.is_file() and ".db" not in file.name:
            yield str(file), file.read_bytes().decode("latin-1")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_output_has_the_seal_or_a_token_of_a_request(tmp_path: Path, log_format: str) -> None:
    """While the run goes on, which alone knows its seal; with all that the service can log."""
    with ServiceProcess(tmp_path, log_format=log_format, log_level="DEBUG") as service:
        task_id = service.install(NOBODY, **KEYED)
        started = service.post("/workflow/start", {"ssh_connection": NOBODY, **ASKED}).json()
        fleet = {"ssh_connections": [NOBODY], **ASKED}
        fleet_id = service.post("/fleet/install-custom-nodes", fleet).json()["fleet_id"]
        secret = seal_of(service, task_id)
        said = dict(outputs(service, task_id, started["workflow_id"], fleet_id))
        kept = service.post(f"/tasks/{task_id}/cancel", {}).status_code == 202 and service.ended(task_id)
        with closing(database(service)) as connection:
            [(left,)] = connection.execute("SELECT seal FROM installs WHERE task_id = ?", [task_id])
    assert len(said) > 30 and len(secret) >= 32 and kept
    assert not [where for where, text in said.items() if any(form in text for form in every_form(secret))]
    assert not [where for where, text in said.items() if TOKEN in text]
    assert left is None


def test_a_database_that_refuses_a_record_shows_none_of_it(tmp_path: Path) -> None:
    """Its errors have the statement, whose values are a request and a seal."""
    engine = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    statement = text("INSERT INTO nowhere (seal) VALUES (:seal)")
    with engine.connect() as connection, pytest.raises(OperationalError) as raised:
        connection.execute(statement, {"seal": "5ea1" * 16})
    engine.dispose()
    assert "nowhere" in str(raised.value) and "5ea1" not in str(raised.value)
