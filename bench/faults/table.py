"""Plays the scenarios on stand-ins, over a real sshd and a real git server, and makes a row of each case."""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from app.domain.address import parse_address
from app.domain.hostkeys import MemoryPins
from app.protocol import wire
from app.protocol.events import decode
from app.protocol.reducer import reduce
from app.protocol.snapshot import Problem, Snapshot
from app.remote.connector import SshConnector
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.settings import Timeouts
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import PackSource, make_pack
from bench.faults.cases import LIMITS, Fault, Scenario
from test.support.waiting import wait_until

RUN_SECONDS = 120.0
TRY_SECONDS = 15.0
_GOOD = ("installed", "verified")


@dataclass(frozen=True, slots=True)
class Row:
    """One case as it ended. `wrong`: what is not as it must be."""

    scenario: str
    case: str
    state: str
    code: str
    message: str
    hint: str
    imports: bool | None
    """Whether ComfyUI imports it, tried apart from the run; None where there is nothing to try."""
    wrong: tuple[str, ...] = ()


class _Judgement(NamedTuple):
    imports: bool | None
    wrong: Sequence[str]


def play(scenario: Scenario, folder: Path, uv: Path, caches: Path) -> list[Row]:
    """One install with all faults of a scenario. Needs root for a `mount`; raises AssertionError when it never ends."""
    with ExitStack() as stack:
        server = stack.enter_context(GitServer(folder / "git"))
        environ = {**os.environ, "UV_CACHE_DIR": str(caches / "uv"), "PIP_CACHE_DIR": str(caches / "pip")}
        options = {"environ": environ, "venv_cache": caches / "venvs", "with_pip": False, **scenario.standin}
        standin = stack.enter_context(StandIn(folder / "standin", **options))
        _put_uv(standin, uv)
        entries = [_make(server, standin, number, fault, caches) for number, fault in enumerate(scenario.faults)]
        entries += _good_packs(server)
        family = standin.family_fingerprint()
        with _mounted(standin, scenario.mount):
            snapshot = _run(standin, {"nodes": entries}, scenario.request)
            touched = [] if standin.family_fingerprint() == family else ["the torch family changed"]
            return [replace(row, wrong=(*row.wrong, *touched)) for row in _rows(scenario, standin, snapshot)]


def _put_uv(standin: StandIn, uv: Path) -> None:
    place = standin.home / ".local" / "bin" / "uv"
    place.parent.mkdir(parents=True)
    place.symlink_to(uv)


def _make(server: GitServer, standin: StandIn, number: int, fault: Fault, folder: Path) -> dict[str, Any]:
    """The fault's pack; its manifest entry."""
    name = f"fault{number:02}-{re.sub('[^a-z0-9]+', '-', fault.title.lower()).strip('-')}"
    source = fault.source
    if source.requirements is not None:
        source = replace(source, requirements=source.requirements.replace("{folder}", str(folder)))
    pack = make_pack(server, "faults", name, source)
    if fault.prepare:
        fault.prepare(standin, name, pack.url)
    if fault.rule:
        server.set_rule(pack.repo, fault.rule)
    return {"name": name, "repo_url": pack.url, **fault.entry}


def _good_packs(server: GitServer) -> list[dict[str, Any]]:
    """They stand last, and must end well whatever stands before them."""
    needy = PackSource(requirements="humanize\ntorch\n", imports=("humanize", "torch"))
    sources = {"good-plain": PackSource(), "good-needy": needy}
    return [{"name": n, "repo_url": make_pack(server, "good", n, source).url} for n, source in sources.items()]


@contextmanager
def _mounted(standin: StandIn, what: str | None) -> Iterator[None]:
    folder = str(standin.custom_nodes)
    if what is None:
        yield
        return
    if what == "read-only":
        commands = [["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]]
    else:
        commands = [["mount", "-t", "tmpfs", "-o", f"size={what}", "nodeferry-faults", folder]]
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=False, capture_output=True, timeout=20)


def _run(standin: StandIn, manifest: Mapping[str, Any], more: Mapping[str, Any]) -> Snapshot:
    """One run of the runner over SSH, to its end; its journal, folded."""
    task_id = str(uuid.uuid4())
    home = str(standin.ui_home)
    request: dict[str, Any] = {"task_id": task_id, "ui_home": home, "venv_path": None, "manifest": manifest}
    request |= {"options": {}, "schemes": ["http", "https"], "version": "faults", "limits": LIMITS, **more}
    connector = SshConnector(MemoryPins(), Timeouts(), key_files=(str(standin.client_key),))
    host = connector.connect(parse_address(standin.address), host_key_sha256=standin.host_key_sha256)
    try:
        client = RunnerClient(host, pack_runner(), Timeouts())
        client.ensure_uploaded()
        client.start(task_id, request)
        journal = standin.home / ".local/state/nodeferry" / task_id / "journal.ndjson"
        wait_until(lambda: b'"event":"run_ended"' in _tail(journal), RUN_SECONDS, "the end of the run")
    finally:
        host.close()
    snapshot = wire.initial(task_id, 0.0, auto_installer=False)
    for line in journal.read_bytes().splitlines():
        event = decode(line)
        snapshot = reduce(snapshot, event, event.wall)
    return snapshot


def _tail(journal: Path) -> bytes:
    """The end of the journal, read where it is: asking over SSH would start an interpreter each time."""
    with journal.open("rb") as file:
        file.seek(max(0, journal.stat().st_size - 4096))
        return file.read()


# -- judging ---------------------------------------------------------------------------------------------------------


def _rows(scenario: Scenario, standin: StandIn, snapshot: Snapshot) -> list[Row]:
    if scenario.run_error:
        problem = snapshot.error
        wrong = _differs(scenario.run_error, problem.code if problem else "")
        return [_row(scenario, "the run", str(snapshot.state), problem, _Judgement(None, wrong))]
    names = list(snapshot.nodes)
    rows = [
        _judged(scenario, standin, snapshot, name, fault) for name, fault in zip(names, scenario.faults, strict=False)
    ]
    plain = Fault("beside: without requirements", scenario.plain, None)
    needy = Fault("beside: with requirements", scenario.good, scenario.good_code)
    return rows + [_judged(scenario, standin, snapshot, n, f) for n, f in zip(names[-2:], (plain, needy), strict=True)]


def _judged(scenario: Scenario, standin: StandIn, snapshot: Snapshot, name: str, fault: Fault) -> Row:
    node = snapshot.nodes[name]
    state, problem = str(node.state), node.error
    imports = _imports(standin, name) if node.commit else None
    wrong = _differs(fault.state, state) + _differs(fault.code or "", problem.code if problem else "")
    if state in _GOOD and not imports:
        wrong.append(f"{state}, but ComfyUI cannot import it")
    if state not in _GOOD and imports and not scenario.good_code:
        wrong.append(f"{state}, but ComfyUI imports it")
    if problem and not (problem.message and problem.hint):
        wrong.append("no hint")
    return _row(scenario, fault.title, state, problem, _Judgement(imports, wrong))


def _row(scenario: Scenario, case: str, state: str, problem: Problem | None, judged: _Judgement) -> Row:
    said = (problem.code, problem.message, problem.hint) if problem else ("", "", "")
    return Row(scenario.title, case, state, *said, judged.imports, tuple(judged.wrong))


def _differs(expected: str, found: str) -> list[str]:
    words = expected.split("|")
    return [] if found in words or "*" in words else [f"expected {expected or 'no error'}, found {found or 'no error'}"]


def _imports(standin: StandIn, name: str) -> bool:
    """Whether ComfyUI by itself imports this pack, tried with no other."""
    argv = [str(standin.python), "main.py", "--quick-test-for-ci", "--cpu", "--disable-all-custom-nodes"]
    argv += ["--whitelist-custom-nodes", name, "--user-directory", str(standin.root / "user-of-bench")]
    argv += ["--database-url", "sqlite:///:memory:"]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(standin.home), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            argv, cwd=standin.ui_home, env=environ, capture_output=True, text=True, timeout=TRY_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.endswith(f"/{name}")]
    return done.returncode == 0 and bool(lines) and not any("IMPORT FAILED" in line for line in lines)
