"""The registry's answers over HTTP: kept, renewed, and refused where they are not what they should be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.nodemap.registry_answers import Status, read_node, read_version
from app.settings import Settings
from app.sync.registry import client
from app.sync.registry.client import Registry, RegistryUnreachable
from test.support.registry_api import RegistryApi, cuts_off, is_silent, refuses, registry_api, says

IMPACT = "comfyui-impact-pack"


@pytest.fixture
def api() -> Iterator[RegistryApi]:
    with registry_api() as found:
        found.add(IMPACT, "8.0.0", "8.1.0", classes=("FaceDetailer",))
        yield found


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _registry(folder: Path, url: str, clock: Clock) -> Registry:
    return Registry(Settings(data_dir=folder, registry_url=url), clock)


@pytest.fixture
def registry(tmp_path: Path, api: RegistryApi, clock: Clock) -> Registry:
    return _registry(tmp_path, api.url, clock)


def test_a_pack_is_found_in_whatever_case_with_its_newest_version(registry: Registry) -> None:
    node = registry.node("ComfyUI-Impact-PACK", registry.asking())
    assert node is not None
    assert (node.node_id, node.stars, node.last_update) == (IMPACT, 7, "2026-05-01")
    assert node.newest is not None
    assert (node.newest.version, node.newest.status) == ("8.1.0", Status.ACTIVE)
    assert registry.node("nobody-has-this", registry.asking()) is None


def test_an_answer_is_kept_and_asked_for_again_with_its_etag(
    registry: Registry, api: RegistryApi, clock: Clock, tmp_path: Path
) -> None:
    first = registry.node(IMPACT, registry.asking())
    assert registry.node(IMPACT, registry.asking()) == first
    assert len(api.asked) == 1
    clock.now += client.FRESH_SECONDS + 1
    another_service = _registry(tmp_path, api.url, clock)
    assert another_service.node(IMPACT, another_service.asking()) == first
    assert [status for _, status in api.asked] == [200, 304]


def test_without_the_registry_what_was_kept_is_used_and_its_age_told(
    registry: Registry, api: RegistryApi, clock: Clock
) -> None:
    read_at = clock.now
    registry.node(IMPACT, registry.asking())
    clock.now += 40 * 24 * 3600
    api.always = refuses(503)
    asking = registry.asking()
    node = registry.node(IMPACT, asking)
    assert node is not None
    assert (asking.read_at, asking.problem) == (
        read_at,
        "ComfyUI's registry cannot be asked: the server answers 503.",
    )
    with pytest.raises(RegistryUnreachable, match="a moment ago"):
        registry.node("another", registry.asking())
    clock.now += client.PAUSE_SECONDS + 1
    api.always = None
    asking = registry.asking()
    registry.node(IMPACT, asking)
    assert (asking.read_at, asking.problem) == (clock.now, None)


def test_a_short_wait_that_the_registry_asks_for_is_waited(registry: Registry, api: RegistryApi) -> None:
    api.faults = [refuses(429, Retry_After="0")]
    assert registry.node(IMPACT, registry.asking()) is not None
    assert [status for _, status in api.asked] == [0, 200]


@pytest.mark.parametrize(("asked", "waited"), [("120", 120.0), ("86400", client.LONGEST_PAUSE_SECONDS)])
def test_a_long_wait_is_kept_to_within_a_bound(
    registry: Registry, api: RegistryApi, clock: Clock, asked: str, waited: float
) -> None:
    api.faults = [refuses(429, Retry_After=asked)]
    with pytest.raises(RegistryUnreachable, match="429"):
        registry.node(IMPACT, registry.asking())
    clock.now += waited - 1
    with pytest.raises(RegistryUnreachable, match="a moment ago"):
        registry.node(IMPACT, registry.asking())
    assert len(api.asked) == 1
    clock.now += 2
    assert registry.node(IMPACT, registry.asking()) is not None


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (refuses(401), "answers 401"),
        (cuts_off, "cut off"),
        (says(b"<html>maintenance</html>"), "no JSON"),
        (says(b"[" * 100_000), "cannot be used"),
        (says(b"[]"), "no node pack"),
        (says(b'{"id": "../../etc"}'), "no id"),
        (says(b'{"id": 5}'), "no id"),
        (says(b'"' + b"x" * (client.MAX_BYTES + 10) + b'"'), "sends more than"),
        (refuses(302, Location="ftp://127.0.0.1/"), "no usable web address"),
        (refuses(302, Location="/nodes/comfyui-impact-pack"), None),
    ],
)
def test_what_is_no_answer_is_not_kept_and_says_why(
    registry: Registry, api: RegistryApi, clock: Clock, fault: Any, why: str | None
) -> None:
    api.faults = [fault]
    if why is None:
        assert registry.node(IMPACT, registry.asking()) is not None
        return
    with pytest.raises(RegistryUnreachable, match=why):
        registry.node(IMPACT, registry.asking())
    clock.now += client.PAUSE_SECONDS + 1
    assert registry.node(IMPACT, registry.asking()) is not None


def test_a_registry_that_never_answers_costs_one_deadline(api: RegistryApi, tmp_path: Path) -> None:
    registry = Registry(Settings(data_dir=tmp_path, registry_url=api.url), call_seconds=0.2)
    api.always = is_silent(api)
    asking = registry.asking()
    found = registry.packs_of_all([f"Class{number}" for number in range(50)], asking)
    assert found == {}
    assert "did not answer in time" in (asking.problem or "")
    assert len(api.asked) <= 6, "the others are not asked any more"


def test_a_class_of_one_pack_and_of_several(registry: Registry, api: RegistryApi) -> None:
    api.add("some-fork", "1.0.0", classes=("FaceDetailer", "Own"))
    found = registry.packs_of_all(["FaceDetailer", "Own", "Nowhere"], registry.asking())
    assert {name: [node.node_id for node in nodes] for name, nodes in found.items()} == {
        "FaceDetailer": [IMPACT, "some-fork"],
        "Own": ["some-fork"],
        "Nowhere": [],
    }


def test_a_version_is_found_by_exactly_its_name(registry: Registry, api: RegistryApi) -> None:
    api.set_status(IMPACT, "8.0.0", "Banned", "It\nmines   coins.\u202e" + "x" * 1000)
    version = registry.version(IMPACT, "8.0.0", registry.asking())
    assert version is not None
    assert (version.status, version.reason[:16], len(version.reason)) == (Status.BANNED, "It mines coins.x", 300)
    assert registry.version(IMPACT, "9.9.9", registry.asking()) is None
    assert registry.version(IMPACT, "../../nodes", registry.asking()) is None
    assert not api.calls("..")


def test_an_archive_may_come_only_by_tls() -> None:
    """But from a registry on this machine itself."""
    for url, home, kept in [
        ("https://cdn.comfy.org/a/1/node.zip", "https://api.comfy.org", True),
        ("http://cdn.comfy.org/a/1/node.zip", "https://api.comfy.org", False),
        ("http://127.0.0.1:5/node.zip", "https://api.comfy.org", False),
        ("http://127.0.0.1:5/node.zip", "http://127.0.0.1:7", True),
        ("http://cdn.example/node.zip", "http://127.0.0.1:7", False),
        ("https://user:pass@cdn.comfy.org/node.zip", "https://api.comfy.org", False),
        ("file:///etc/passwd", "https://api.comfy.org", False),
        ("https://cdn.comfy.org/a b.zip", "https://api.comfy.org", False),
        ("https://cdn.comfy.org:x/a.zip", "https://api.comfy.org", False),
        ("https://cdn.comfy.org/" + "a" * 3000, "https://api.comfy.org", False),
    ]:
        version = read_version({"version": "1.0.0", "downloadUrl": url}, home)
        assert (version.archive_url == url) is kept, url


def test_a_hostile_pack_brings_nothing_but_checked_texts() -> None:
    raw = json.loads(
        '{"id": "x", "name": ["a"], "repository": "ext::sh -c x", "github_stars": true, "status": {"a": 1},'
        ' "latest_version": {"version": "1.0 && rm", "status": 7}}'
    )
    node = read_node(raw, "https://api.comfy.org")
    assert (node.title, node.repo_url, node.stars, node.status, node.newest) == (None, None, None, Status.UNKNOWN, None)


def test_a_kept_answer_that_was_spoilt_is_asked_for_again(registry: Registry, api: RegistryApi, tmp_path: Path) -> None:
    registry.node(IMPACT, registry.asking())
    for path in (tmp_path / "registry").glob("*.z"):
        path.write_bytes(b"\x00" * 20)
    assert registry.node(IMPACT, registry.asking()) is not None
    assert len(api.asked) == 2
