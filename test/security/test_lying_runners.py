"""Instances whose runner lies: every task ends once, polls answer, and the next task and the next service are well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.domain.address import parse_address
from app.domain.errors import NothingToRetry, RunnerProtocolError
from app.domain.request import InstallRequest
from app.protocol.options import Options
from app.standin.instance import StandIn
from test.security.hostile_journals import Fields, deep, line
from test.security.hostile_runner import HostileRunner
from test.sync.conftest import Bench, BenchFactory, bench_factory, instance, instances  # noqa: F401 - fixtures

pytestmark = pytest.mark.sshd
URL = "https://github.com/owner/asked"
STARTED: Fields = {"event": "run_started", "task_id": "TASK", "version": "1", "pid": 1}
ASKED: Fields = {"name": "asked", "repo_url": URL}


def lines(*run: Fields) -> list[bytes]:
    return [line(number, **fields) for number, fields in enumerate(run, 1)]


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostileRunner:
    """What the service uploads and starts on every instance."""
    made = HostileRunner(tmp_path / "hostile")
    monkeypatch.setattr("app.sync.installs.worker.pack_runner", lambda: made.packed)
    return made


def start(bench: Bench, instance: StandIn, **fields: object) -> str:  # noqa: F811
    manifest = fields.pop("manifest", {"urls": [URL]})
    request = InstallRequest(
        instance.ssh_command,
        parse_address(instance.ssh_command),
        manifest=manifest,  # type: ignore[arg-type]
        options=Options(wait_seconds=0, **fields),  # type: ignore[arg-type]
    )
    return bench.installs.start(request).task_id


WARNING: Fields = {"event": "warning", "code": "c", "message": "m"}
LIES: dict[str, list[bytes]] = {
    "NaN": lines(STARTED, {"event": "step", "name": "a", "status": "running", "seconds": float("nan")}),
    "a clock of 1e308": lines(STARTED, {**WARNING, "mono": 1e308}),
    "nesting of 900": [*lines(STARTED), b'{"seq":2,"wall":1,"mono":1,"event":"lock","lock":' + b'{"a":' * 900 + b"1"],
    "a deep lock": lines(STARTED, {"event": "lock", "lock": deep(30)}),
    "a pack that nobody named": lines(STARTED, {"event": "node", "name": "other", "state": "cloned"}),
    "a state that cannot follow": lines(
        STARTED,
        {"event": "manifest", "source": "csv", "nodes": [ASKED]},
        {"event": "node", "name": "asked", "state": "verified"},
    ),
    "a number that comes again": [*lines(STARTED, WARNING), line(2, **WARNING)],
    "a number that goes back": [*lines(STARTED, WARNING, WARNING), line(1, **WARNING)],
    "a number that is left out": [*lines(STARTED), line(5, **WARNING)],
    "too many unknown kinds": lines(STARTED, *[{"event": "invented"}] * 1001),
    "no JSON": [*lines(STARTED), b"\x00\xff{"],
}


def test_every_lie_ends_its_task_once(
    bench_factory: BenchFactory,  # noqa: F811
    instance: StandIn,  # noqa: F811
    runner: HostileRunner,
    tmp_path: Path,
) -> None:
    """As `runner_protocol_error`; the run there is cancelled, polls and lists are JSON, and a restart leaves it so."""
    bench = bench_factory(data_dir=tmp_path / "data")
    ended = {}
    for name, journal in LIES.items():
        runner.says(journal)
        ended[name] = start(bench, instance)
        end = bench.ended(ended[name], 20)
        assert (end["state"], (end["error"] or {}).get("code")) == ("failed", "runner_protocol_error"), name
        assert runner.asked().count("start") == 1, name
        assert "cancel" in runner.asked(), name
        json.dumps([end, bench.installs.task(ended[name])], allow_nan=False)
    bench.service.close()
    again = bench_factory(data_dir=tmp_path / "data")
    assert again.installs.numbers == (0, 0)
    for task_id in ended.values():
        assert again.installs.progress(task_id)["error"]["code"] == "runner_protocol_error"


ANSWERS = [
    '{"status": "running"}',
    '{"status": "running", "offset": true}',
    '{"status": "running", "offset": 1e400}',
    '{"status": ["running"], "offset": 0}',
    "[" * 900,
    json.dumps({"error": {"code": "c" * 9000, "message": "\x1b]52;c;eA==\x07" + "m" * 90_000}}),
]


def test_an_answer_that_is_none_ends_the_task(
    bench_factory: BenchFactory,  # noqa: F811
    instance: StandIn,  # noqa: F811
    runner: HostileRunner,
) -> None:
    """Its texts are cut and cleaned, as those of the journal."""
    bench = bench_factory()
    for answer in ANSWERS:
        runner.says([], start=answer)
        end = bench.ended(start(bench, instance), 20)
        assert end["state"] == "failed", answer
        assert len(json.dumps(end, allow_nan=False)) < 20_000
        assert "\x1b" not in end["error"]["message"]


OVER = b'e {"status": "ended"}'
FOREIGN = ["https://evil.example/x/y", "ext::sh -c id", "../../evil", "file:///etc", "-oProxyCommand=id"]


def invented(urls: list[str]) -> list[bytes]:
    """A run in which the pack that was asked for has other addresses, and others stand beside it. All failed."""
    problem = {"code": "stalled", "message": "m"}
    others = [{"name": f"other{number}", "repo_url": url, "folder": url} for number, url in enumerate(urls)]
    packs = [{**ASKED, "repo_url": urls[0], "subfolder": "../../x", "ref": "evil"}, *others]
    lock = {"format": 1, "node_packs": [{**pack, "commit": "a" * 40, "subfolder": None} for pack in packs]}
    return lines(
        STARTED,
        {"event": "probed", "ui_home": "../../../etc"},
        {"event": "manifest", "source": "csv", "nodes": packs},
        *({"event": "node", "name": pack["name"], "state": "failed", "error": problem} for pack in packs),
        {"event": "lock", "lock": lock},
        {"event": "run_ended", "state": "completed"},
    )


def test_a_retry_asks_only_for_what_was_asked_for(
    bench_factory: BenchFactory,  # noqa: F811
    instance: StandIn,  # noqa: F811
    runner: HostileRunner,
) -> None:
    """With the request's own addresses, whatever the instance said of its packs; its lock has none of the others, and
    what follows goes to no folder that is none."""
    bench = bench_factory()
    runner.says(invented(FOREIGN), [OVER])
    first = start(bench, instance)
    bench.ended(first, 20)
    assert bench.service.retries.retry(first).task_id
    [second] = [row["task_id"] for row in bench.installs.list()[0] if row["retry_of"] == first]
    [entry] = bench.installs.task(second)["request"]["manifest"]["nodes"]
    assert (entry["name"], entry["repo_url"], entry["subfolder"], entry["ref"]) == ("asked", URL, None, None)
    lock = bench.installs.lock(first)
    assert lock is not None
    assert lock["node_packs"] == []
    bench.ended(second, 20)


@pytest.mark.parametrize("url", FOREIGN[1:])
def test_a_list_that_only_the_instance_has_read_is_checked_like_a_request(
    bench_factory: BenchFactory,  # noqa: F811
    instance: StandIn,  # noqa: F811
    runner: HostileRunner,
    url: str,
) -> None:
    """An address that no request may have is in no retry and no lock."""
    bench = bench_factory()
    runner.says(invented([url]), [OVER])
    first = start(bench, instance, manifest={"repo": URL, "path": "list.csv", "ref": None})
    bench.ended(first, 20)
    with pytest.raises(NothingToRetry):
        bench.service.retries.retry(first)
    with pytest.raises(RunnerProtocolError):
        bench.installs.lock(first)
    assert [row["task_id"] for row in bench.installs.list()[0]] == [first]
