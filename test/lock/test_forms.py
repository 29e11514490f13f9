"""Locks and ComfyUI-Manager's snapshots as manifests: read strictly, told what cannot be had, written back."""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidManifest
from app.domain.request import check_manifest
from app.protocol.lockfile import mismatches, read_lock
from app.protocol.manager_snapshot import MAX_CHARS, write_snapshot
from app.protocol.manifest import ManifestFault
from app.protocol.other_files.read import read_snapshot
from app.protocol.yaml_text import BadYaml, parse_yaml

HASH = "0123456789012345678901234567890123456789"
PACK = {"name": "One", "repo_url": "https://github.com/owner/One", "folder": "One", "commit": HASH}
OFF = {
    "name": "Off",
    "repo_url": "https://github.com/owner/Off",
    "folder": ".disabled/Off",
    "commit": HASH,
    "disabled": True,
}
LOCK: dict[str, Any] = {"format": 1, "node_packs": [PACK], "packages": {"numpy": "2.1.0"}, "python": "3.12.3"}
SNAPSHOT: dict[str, Any] = {
    "comfyui": "70c91b8248d1a9b9e1d0a1b5a1b9a1d1a1b1a1b1",
    "git_custom_nodes": {
        "https://github.com/owner/One.git": {"hash": HASH, "disabled": False},
        "https://github.com/owner/Off": {"hash": HASH, "disabled": True},
    },
    "cnr_custom_nodes": {"comfyui-kjnodes": "1.0.5"},
    "file_custom_nodes": [{"filename": "websocket_image_save.py", "disabled": False}],
    "pips": {"aiohttp==3.11.8": "", "clip @ git+https://github.com/openai/CLIP@abc": ""},
}
YAML = f"""\
custom_nodes:
  cnr_custom_nodes:
    comfyui-kjnodes: 1.0.5
  comfyui: 70c91b8248d1a9b9e1d0a1b5a1b9a1d1a1b1a1b1
  file_custom_nodes:
  - disabled: false
    filename: websocket_image_save.py
  git_custom_nodes:
    https://github.com/owner/One.git:
      disabled: false
      hash: '{HASH}'
    https://github.com/owner/Off:
      disabled: true
      hash: {HASH}
  pips:
    aiohttp==3.11.8: ''
    clip @ git+https://github.com/openai/CLIP@abc: ''
"""


def test_a_lock_is_packs_at_their_commits() -> None:
    lock = read_lock(LOCK, ["https"])
    assert [(pack.name, pack.ref, pack.folder) for pack in lock.packs] == [("One", HASH, "One")]
    assert lock.packages == {"numpy": "2.1.0"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"node_packs": [{**PACK, "commit": "main"}]}, "manifest.lock.node_packs[0].commit"),
        ({"node_packs": [{**PACK, "folder": "../x"}]}, "manifest.lock.node_packs[0]"),
        ({"node_packs": [{**PACK, "repo_url": "file:///x"}]}, "manifest.lock.node_packs[0]"),
        ({"node_packs": []}, "manifest.lock.node_packs"),
        ({"packages": {"numpy": "2 --index-url http://x"}}, "manifest.lock.packages"),
        ({"packages": {"-r x": "1"}}, "manifest.lock.packages"),
        ({"format": 2}, "manifest.lock.format"),
        ({"python": 3}, "manifest.lock.python"),
        ({"packages": {"Num_py": "1", "num-py": "2"}}, "manifest.lock.packages"),
        ({"gpu": "none"}, "manifest.lock.gpu"),
        ({"gpu": [{"name": 3}]}, "manifest.lock.gpu"),
        ({"machine": ["x86_64"]}, "manifest.lock.machine"),
    ],
)
def test_a_lock_that_cannot_be_is_refused_by_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidManifest) as caught:
        check_manifest({"lock": {**LOCK, **change}}, ["https"], "list.csv")
    assert caught.value.field == field


def test_what_the_machine_must_have() -> None:
    """The Python's minor version, torch's build and its CUDA; a patch of Python is no matter."""
    lock = read_lock({**LOCK, "torch": {"version": "2.9.1+cu128", "cuda": "12.8"}}, ["https"])
    assert mismatches(lock, "3.12.9", "2.9.1+cu128", "12.8") == []
    assert len(mismatches(lock, "3.11.9", "2.9.1+cu126", "12.6")) == 3
    assert mismatches(lock, "3.12.9", None, None) == [
        "torch is not installed, the lock has 2.9.1+cu128",
        "CUDA is not installed, the lock has 12.8",
    ]


def test_no_gpu_and_another_processor_are_another_machine() -> None:
    """Another GPU is not, and what is not known is none."""
    lock = read_lock({**LOCK, "gpu": [{"name": "A"}], "machine": "x86_64"}, ["https"])
    assert mismatches(lock, "3.12.9", None, None) == []
    assert mismatches(lock, "3.12.9", None, None, gpus=["B"], machine="x86_64") == []
    assert mismatches(lock, "3.12.9", None, None, gpus=[], machine="aarch64") == [
        "The instance has no GPU, the lock has A",
        "The processor is aarch64, the lock has x86_64",
    ]


@pytest.mark.parametrize("form", [SNAPSHOT, json.dumps(SNAPSHOT), YAML, YAML.replace("\n", "\r\n")])
def test_a_managers_snapshot_becomes_a_lock(form: Any) -> None:
    """Object, JSON text and YAML text give the same; what cannot be had is named, with why."""
    checked = check_manifest({"manager_snapshot": form}, ["https"], "list.csv")
    assert checked is not None
    lock = checked["lock"]
    of_registry = {"name": "comfyui-kjnodes", "folder": "comfyui-kjnodes", "registry_id": "comfyui-kjnodes"}
    assert lock["node_packs"] == [
        {**PACK, "repo_url": "https://github.com/owner/One.git"},
        OFF,
        {**of_registry, "version": "1.0.5"},
    ]
    assert lock["packages"] == {"aiohttp": "3.11.8"}
    assert [entry["name"] for entry in lock["left_out"]] == ["clip @ git+https://github.com/openai/CLIP@abc"]
    assert [pack.source for pack in read_lock(lock, ["https"]).packs][2:] == ["comfyui-kjnodes@1.0.5"]


def test_a_snapshot_that_was_written_is_read_back() -> None:
    of_registry = {"name": "kjnodes", "folder": "kjnodes", "registry_id": "kjnodes", "version": "1.0.5"}
    again = read_snapshot(write_snapshot({**LOCK, "node_packs": [OFF, PACK, of_registry]}), ["https"])
    assert again["node_packs"] == [OFF, PACK, of_registry]
    assert again["packages"] == LOCK["packages"]


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "[]",
        "{",
        3,
        {},
        {"git_custom_nodes": []},
        {"git_custom_nodes": {}},
        "a: &x 1",
        "a: |\n  b",
        "\tx",
        "a: {b: 1}",
    ],
)
def test_what_is_no_snapshot_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidManifest) as caught:
        check_manifest({"manager_snapshot": bad}, ["https"], "list.csv")
    assert (caught.value.field or "").startswith("manifest")


HEAD = "git_custom_nodes:\n"


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param('{"a":' * 60_000, id="deep JSON"),
        pytest.param('{"git_custom_nodes": ' + "[" * 60_000, id="deep JSON list"),
        pytest.param("".join(" " * depth + "a:\n" for depth in range(400)), id="deep YAML"),
        pytest.param(HEAD + "  a" + " " * 200_000 + "b: 1\n", id="long gap"),
        pytest.param(HEAD + "  a: " + "x" * 200_000 + "\n", id="long line"),
        pytest.param(HEAD + "  a:\n" * 100_000, id="many lines"),
        pytest.param("a: &a [x]\nb: *a\n", id="anchor"),
        pytest.param("a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(40)), id="billion laughs"),
        pytest.param(HEAD + "".join(f"  a{n}:\n" for n in range(40_000)), id="many keys"),
        pytest.param("a: " + "[" * 900, id="deep flow"),
        pytest.param("git_custom_nodes: !!python/object/apply:os.system [id]\n", id="tag"),
        pytest.param("<<: *base\ngit_custom_nodes:\n", id="merge"),
        pytest.param(HEAD + "  a: 1\n" * 2, id="twice"),
        pytest.param("x" * (MAX_CHARS + 1), id="huge"),
        pytest.param(HEAD + f"  https://h/o/p:\n    hash: {HASH}; rm -rf\n", id="hash"),
        pytest.param(HEAD + f"  file:///etc:\n    hash: {HASH}\n", id="scheme"),
        pytest.param(HEAD + f"  https://h/o/..:\n    hash: {HASH}\n", id="name"),
    ],
)
def test_a_hostile_snapshot_is_refused_at_once(hostile: str) -> None:
    """By its field, in a short sentence, and without taking long."""
    began = time.process_time()
    with pytest.raises(ManifestFault) as caught:
        read_snapshot(hostile, ["https"])
    assert time.process_time() - began < 2
    assert caught.value.field.startswith("manifest.manager_snapshot")
    assert len(caught.value.message) < 500


def test_pips_that_are_no_plain_versions_are_left_out() -> None:
    """Each by its line; the others are packages."""
    pips = ["good==1.0", "odd===1.0", "-e git+https://h/x@abc#egg=x", "marked==1 ; python_version<'3'", "bare"]
    lock = read_snapshot({**SNAPSHOT, "cnr_custom_nodes": {}, "pips": dict.fromkeys(pips, "")}, ["https"])
    assert lock["packages"] == {"good": "1.0"}
    assert [entry["name"] for entry in lock["left_out"]] == pips[1:]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\nb: *x\n", "line 2 has an alias of nothing that stands before it"),
        ("a: &x [*x]\n", "line 1 has an alias of nothing that stands before it"),
        ("a: 'b\n", "line 2: "),
        ("a:\n\t- 'b\n", "line 3: "),
    ],
)
def test_yaml_that_cannot_be_read_is_refused_by_its_line(text: str, why: str) -> None:
    with pytest.raises(BadYaml, match=re.escape(why)):
        parse_yaml(text)


def test_yaml_scalars_stay_the_text_that_they_are() -> None:
    """Versions and hashes that YAML 1.1 takes for numbers, dates or truth values; only its plain words are values."""
    text = (
        "a: 1.10\nb: 0123\nc: 1e5\nd: on\ne: 2024-01-01\nf: 'true'\ng: true\nh: ~\ni: \nj: {k: [1, 2]}\nnull: |\n  x\n"
    )
    assert parse_yaml(text) == {
        "a": "1.10",
        "b": "0123",
        "c": "1e5",
        "d": "on",
        "e": "2024-01-01",
        "f": "true",
        "g": True,
        "h": None,
        "i": None,
        "j": {"k": ["1", "2"]},
        "null": "x\n",
    }


def test_versions_and_hashes_of_a_yaml_snapshot_survive() -> None:
    """None of them is quoted by yaml.dump when it looks like text, and by people never."""
    digits = "1" * 40
    text = f"""\
git_custom_nodes:
  https://github.com/owner/One: {{hash: {digits}, disabled: no}}
  https://github.com/owner/Two: {{hash: {HASH}, disabled: on}}
cnr_custom_nodes:
  some-pack: 1.10
pips:
  numpy==1.10: ''
  odd==0x10: ''
"""
    lock = read_snapshot(text, ["https"])
    assert [pack.get("commit") or pack["version"] for pack in lock["node_packs"]] == [digits, HASH, "1.10"]
    assert [bool(pack.get("disabled")) for pack in lock["node_packs"]] == [False, True, False]
    assert lock["packages"] == {"numpy": "1.10", "odd": "0x10"}
    assert lock["left_out"] == []


@given(st.text(max_size=200))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with contextlib.suppress(ManifestFault):
        read_snapshot(text, ["https"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sources": ["x"]}, "sources"),
        ({"sources": {"a": "git+https://h/o/a@main"}}, "sources"),
        ({"sources": {"a": "https://me:word@h/a.whl"}}, "sources"),
        ({"sources": {"a": "file:///etc/a.whl"}}, "sources"),
        ({"sources": {"a": "https://h/a.whl --index-url http://x"}}, "sources"),
        ({"sources": {"a": "https://h/${HOME}/a.whl"}}, "sources"),
        ({"sources": {"-r": "https://h/a.whl"}}, "sources"),
        ({"only_there": [{"name": "a", "path": "../x"}]}, "only_there"),
        ({"only_there": "a"}, "only_there"),
        ({"overlaps": [{"on_top": "a"}]}, "overlaps"),
        ({"overlaps": [{"on_top": "a", "beneath": ["b"], "files": "x"}]}, "overlaps"),
        ({"overlaps": [{"on_top": "-x", "beneath": ["b"]}]}, "overlaps"),
        ({"indexes": ["--trusted-host x"]}, "indexes"),
        ({"indexes": "https://h"}, "indexes"),
        ({"find_links": ["https://h/ -r x"]}, "find_links"),
        ({"packages": {"a": "1 b"}}, "packages"),
    ],
)
def test_places_that_cannot_be_are_refused_by_their_field(change: dict[str, Any], field: str) -> None:
    """Nothing of a lock becomes another line, or an option, of what uv reads."""
    with pytest.raises(InvalidManifest) as caught:
        check_manifest({"lock": {**LOCK, **change}}, ["https"], "list.csv")
    assert caught.value.field == f"manifest.lock.{field}"
