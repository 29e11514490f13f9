"""Requests that are as large as they may be: too many entries are counted, not looked at, and what is accepted costs
little. CPU seconds of the thread that answers are measured, so that a busy machine changes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.protocol.manifest import ManifestFault
from app.protocol.options import MOST_ENTRIES
from app.protocol.other_files.read import read_snapshot
from test.api.client import START, Api, content, service_in

FLEET = "/fleet/install-custom-nodes"
CHECK = "/manifests/check"
WORKFLOW = "/workflow/start"
RETRY = "/tasks/550e8400-e29b-41d4-a716-446655440000/retry"
MOST = 120.0
"""How many times as long as a million empty turns an answer may take. A tenth of it on a quiet machine; a list that
was looked at whole took minutes."""
MOST_FLEET = 180.0
"""It makes five hundred tasks."""
SHA = "a" * 40
ONE = {"https://github.com/o/p": {"hash": SHA}}


def _install(form: str, value: object) -> dict[str, Any]:
    return {"ssh_connection": "root@127.0.0.1 -p 9", "manifest": {form: value}}


def _urls(count: int) -> list[str]:
    return [f"https://github.com/o/p{i}" for i in range(count)]


def _nodes(count: int) -> list[dict[str, str]]:
    return [{"name": f"p{i}", "repo_url": f"https://github.com/o/p{i}"} for i in range(count)]


def _packs(count: int) -> list[dict[str, str]]:
    return [{**node, "folder": node["name"], "commit": SHA} for node in _nodes(count)]


def _lock(**fields: object) -> dict[str, Any]:
    return _install("lock", {"node_packs": _packs(1), **fields})


def _snapshot(**fields: object) -> dict[str, Any]:
    return _install("manager_snapshot", {"git_custom_nodes": ONE, **fields})


def _repositories(count: int) -> dict[str, Any]:
    return {f"https://github.com/o/p{i}": {"hash": SHA} for i in range(count)}


def _yaml(packs: int, packages: int) -> str:
    nodes = "".join(f"  {url}:\n    hash: {SHA}\n    disabled: false\n" for url in _urls(packs))
    return f"git_custom_nodes:\n{nodes}pips:\n" + "".join(f"  pkg-{i}==1.0: ''\n" for i in range(packages))


def _machines(count: int) -> list[str]:
    return [f"root@127.0.0.1 -p {i + 1}" for i in range(count)]


def _many(count: int) -> dict[str, str]:
    return {f"pkg-{i}": "1.0" for i in range(count)}


REFUSED: dict[str, tuple[str, Callable[[], object], str | None]] = {
    "urls": (START, lambda: _install("urls", _urls(28_000)), "manifest.urls"),
    "urls in one text": (START, lambda: _install("urls", ["\n".join(_urls(15_000))]), "manifest.urls"),
    "urls on one line": (START, lambda: _install("urls", [" ".join(_urls(15_000))]), "manifest.urls"),
    "urls of pictures": (START, lambda: _install("urls", ["![" * 250 + f" {url}" for url in _urls(990)]), None),
    "urls of links": (START, lambda: _install("urls", ["](" + "a" * 490 for _ in range(990)]), None),
    "urls of anchors": (START, lambda: _install("urls", ["<a " * 160 for _ in range(990)]), None),
    "nodes": (START, lambda: _install("nodes", _nodes(12_000)), "manifest.nodes"),
    "rows": (START, lambda: _install("csv", "Name,RepoUrl\n" + "p,https://github.com/o/p\n" * 9_000), "manifest.csv"),
    "lines": (START, lambda: _install("csv", "Name,RepoUrl\n" + ",\n" * 250_000), "manifest.csv"),
    "a header": (START, lambda: _install("csv", ",".join(["a:" * 60_000] * 4)), "manifest.csv"),
    "a lock's packs": (START, lambda: _lock(node_packs=_packs(7_000)), "manifest.lock.node_packs"),
    "a lock's packages": (START, lambda: _lock(packages=_many(40_000)), "manifest.lock.packages"),
    "a lock's sources": (START, lambda: _lock(sources=_many(40_000)), "manifest.lock.sources"),
    "a lock's left_out": (START, lambda: _lock(left_out=[{}] * 200_000), "manifest.lock.left_out"),
    "a lock's overlaps": (START, lambda: _lock(overlaps=[{}] * 200_000), "manifest.lock.overlaps"),
    "a lock's remarks": (START, lambda: _lock(remarks=["x"] * 200_000), "manifest.lock.remarks"),
    "a lock's indexes": (START, lambda: _lock(indexes=["https://a.b/c"] * 50_000), "manifest.lock.indexes"),
    "a snapshot's packs": (
        START,
        lambda: _install("manager_snapshot", {"git_custom_nodes": _repositories(9_000)}),
        "manifest.manager_snapshot.git_custom_nodes",
    ),
    "a snapshot's packages": (START, lambda: _snapshot(pips=_many(40_000)), "manifest.manager_snapshot.pips"),
    "a snapshot's lines": (START, lambda: _snapshot(pips="a==1\r" * 150_000), "manifest.manager_snapshot.pips"),
    "a snapshot's files": (
        START,
        lambda: _snapshot(file_custom_nodes=["x"] * 200_000),
        "manifest.manager_snapshot.file_custom_nodes",
    ),
    "a YAML snapshot": (
        CHECK,
        lambda: {"manifest": {"manager_snapshot": _yaml(4_000, 0)}},
        "manifest.manager_snapshot",
    ),
    "aliases": (
        START,
        lambda: _install("manager_snapshot", "a: &a [1, 2]\n" + "".join(f"b{i}: [*a, *a]\n" for i in range(20_000))),
        "manifest.manager_snapshot",
    ),
    "a text that is not closed": (
        START,
        lambda: _install("manager_snapshot", "{" + '"\\' * 170_000),
        "manifest.manager_snapshot",
    ),
    "comments that are not closed": (
        START,
        lambda: _install("manager_snapshot", "{" + "/*" * 250_000),
        "manifest.manager_snapshot",
    ),
    "steps": (WORKFLOW, lambda: {"ssh_connection": "root@h", "steps": ["x"] * 200_000}, "steps"),
    "a retry's packs": (RETRY, lambda: {"nodes": [1] * 400_000}, "nodes"),
    "instances": (FLEET, lambda: {"ssh_connections": [[]] * 300_000}, "ssh_connections"),
    "an option's entries": (
        START,
        lambda: {"ssh_connection": "root@h", "options": {"allow_yanked": ["x==1"] * 100_000}},
        "options.allow_yanked",
    ),
    "fields": (START, lambda: {f"a{i}": 1 for i in range(80_000)}, "a0"),
    "options": (START, lambda: {"ssh_connection": "root@h", "options": {f"a{i}": 1 for i in range(80_000)}}, None),
    "an address": (START, lambda: {"ssh_connection": "ssh " + "-o a=b " * 140_000}, "ssh_connection"),
    "depth": (START, lambda: '{"a":' + "[" * 500_000, None),
    "digits": (START, lambda: '{"a":' + "1" * 1_000_000 + "}", None),
    "names, the last one twice": (
        START,
        lambda: "{" + ",".join(f'"a{i}":1' for i in range(80_000)) + ',"z":1,"z":1}',
        None,
    ),
}
ACCEPTED: dict[str, tuple[str, Callable[[], object]]] = {
    "urls": (START, lambda: _install("urls", [f"{url}/tree/{'a/' * 90}b" for url in _urls(1_000)])),
    "nodes": (
        START,
        lambda: _install("nodes", [{**node, "requirements_file": "r/" * 90 + "x"} for node in _nodes(1_000)]),
    ),
    "the same again": (START, lambda: _install("nodes", _nodes(1) * 1_000)),
    "rows": (START, lambda: _install("csv", "Name,RepoUrl\n" + "".join(f"{u[-4:]},{u}\n" for u in _urls(1_000)[100:]))),
    "a lock": (CHECK, lambda: {"manifest": _lock(node_packs=_packs(1_000), packages=_many(5_000))["manifest"]}),
    "a snapshot": (START, lambda: _install("manager_snapshot", {"git_custom_nodes": _repositories(5_000)})),
    "a YAML snapshot": (START, lambda: _install("manager_snapshot", _yaml(1_000, 5_000))),
    "a workflow": (WORKFLOW, lambda: _install("nodes", _nodes(1_000))),
    "a fleet": (FLEET, lambda: {"ssh_connections": _machines(500), "manifest": {"nodes": _nodes(1_000)}}),
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service in which nothing that is accepted gets far."""
    with service_in(tmp_path_factory.mktemp("counted"), max_running=1) as running:
        yield running


def _cost(api: Api, path: str, body: object) -> tuple[int, dict[str, Any], float]:
    """Status and body of the answer, and the CPU seconds that it took, in those of a million empty turns: a processor
    that others use as well is slower at both."""
    text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
    assert len(text) <= 1024 * 1024
    begun = time.thread_time()
    answer = api.post_text(path, text)
    taken = time.thread_time() - begun
    begun = time.thread_time()
    for _ in range(1_000_000):
        pass
    return answer.status_code, content(answer), taken / (time.thread_time() - begun)


@pytest.mark.parametrize("what", REFUSED)
def test_too_many_entries_are_counted_and_not_looked_at(what: str, api: Api) -> None:
    path, body, field = REFUSED[what]
    status, answer, cost = _cost(api, path, body())
    assert status == 400, answer
    assert answer["message"]
    assert field is None or answer["field"] == field
    assert cost < MOST


@pytest.mark.parametrize("what", ACCEPTED)
def test_the_largest_request_that_is_accepted_costs_little(what: str, api: Api) -> None:
    path, body = ACCEPTED[what]
    status, answer, cost = _cost(api, path, body())
    assert status in {200, 202}, answer
    assert cost < (MOST_FLEET if path == FLEET else MOST)


def test_a_fleet_whose_lists_are_too_large_together_is_refused(api: Api) -> None:
    """Each might need a list of its own for a retry: 1,000 of 0.3 MB."""
    nodes = [{**node, "ref": "a" * 230} for node in _nodes(1_000)]
    body = {"ssh_connections": _machines(1_000), "manifest": {"nodes": nodes}}
    status, answer, cost = _cost(api, FLEET, body)
    assert (status, answer["error"], answer["field"]) == (413, "fleet_too_large", "ssh_connections")
    assert answer["hint"]
    assert cost < MOST


def test_an_option_s_list_has_as_many_entries_as_are_possible(api: Api) -> None:
    body = {"ssh_connection": "root@127.0.0.1 -p 9", "options": {"allow_yanked": ["x==1"] * MOST_ENTRIES}}
    assert api.post(START, body).status_code == 202


def test_a_text_that_is_never_closed_is_read_once() -> None:
    """Twice the text may cost twice the time, not four times: a regular expression that begins again at every quotation
    mark took hours for what one request can carry."""

    def seconds(pairs: int) -> float:
        begun = time.thread_time()
        with pytest.raises(ManifestFault):
            read_snapshot("{" + '"\\' * pairs, ("https",))
        return time.thread_time() - begun

    few, many = (min(seconds(pairs) for _ in range(3)) for pairs in (25_000, 250_000))
    assert many < 40 * max(few, 0.001)
