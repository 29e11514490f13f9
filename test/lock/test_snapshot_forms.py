"""Snapshots as people have them: one entry that cannot be had costs no other, and is told."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import InvalidManifest
from app.domain.request import check_manifest, check_nothing_left_out, left_out_of
from app.protocol.lockfile import read_lock
from app.protocol.snapshot_text import decoded
from app.protocol.yaml_text import parse_yaml
from test.lock.test_forms import HASH

ONE = "https://github.com/owner/One"
OTHER_HASH = "b" * 40
TOKEN = "ghp_" + "a1B2" * 9
GOOD = {ONE: {"hash": HASH, "disabled": False}}
Json = dict[str, Any]


def lock_of(snapshot: object) -> Json:
    """The lock of a snapshot, checked as at the service's edge; no secret is in it."""
    checked = check_manifest({"manager_snapshot": snapshot}, ["https", "ssh"], "list.csv")
    assert checked is not None
    assert TOKEN not in json.dumps(checked)
    found: Json = checked["lock"]
    return found


def urls(lock: Json) -> list[str]:
    return [pack["repo_url"] for pack in lock["node_packs"]]


def entry(hash_: object = HASH, **more: object) -> Json:
    return {"hash": hash_, "disabled": False, **more}


PACKS_THAT_CANNOT_BE_HAD = {
    "no hash": ({"https://github.com/o/p": entry(None)}, "no commit of it"),
    "an empty hash": ({"https://github.com/o/p": entry("")}, "no commit of it"),
    "no entry": ({"https://github.com/o/p": None}, "no commit of it"),
    "a list": ({"https://github.com/o/p": []}, "no commit of it"),
    "true": ({"https://github.com/o/p": True}, "no commit of it"),
    "a branch": ({"https://github.com/o/p": entry("main")}, "no commit"),
    "a dash": ({"https://github.com/o/p": entry("-")}, "no commit"),
    "a short hash": ({"https://github.com/o/p": entry("0123456")}, "only the beginning of a commit"),
    "a shell's words": ({"https://github.com/o/p": entry(HASH + "; rm -rf")}, "no commit"),
    "disabled, without a hash": ({"https://github.com/o/p": entry(None, disabled=True)}, "no commit of it"),
    "a folder": ({"/workspace/ComfyUI/custom_nodes/mine": entry()}, "folder of the machine"),
    "a file address": ({"file:///root/mine": entry()}, "folder of the machine"),
    "a folder of Windows": ({"C:\\ComfyUI\\custom_nodes\\mine": entry()}, "folder of the machine"),
    "a share of Windows": ({"\\\\nas\\nodes\\mine": entry()}, "folder of the machine"),
    "a name": ({"mine": entry()}, "not the address"),
    "an empty key": ({"": entry()}, "not the address"),
    "a transport helper": ({"ext::sh -c id": entry()}, "not the address"),
    "http with a port": ({"http://git.lan:3000/o/p": entry()}, "NODEFERRY_ALLOWED_GIT_SCHEMES"),
    "another scheme": ({"svn://git.lan/o/p": entry()}, "scheme"),
    "a host alone": ({"https://github.com": entry()}, "front page of github.com"),
    "a bad port": ({"https://github.com:x/o/p": entry()}, "cannot be understood"),
    "a name that is no folder": ({"https://github.com/o/..": entry()}, "not a plain relative path"),
    "another fork of its name": ({"https://github.com/fork/one.git": entry()}, "Its folder would be that of"),
    "the same one at another commit": ({ONE + ".git": entry(OTHER_HASH)}, "in the snapshot twice"),
}


@pytest.mark.parametrize(("packs", "why"), PACKS_THAT_CANNOT_BE_HAD.values(), ids=PACKS_THAT_CANNOT_BE_HAD.keys())
@pytest.mark.parametrize("write", [lambda value: value, json.dumps, yaml.safe_dump], ids=["object", "JSON", "YAML"])
def test_a_pack_that_cannot_be_had_costs_no_other(packs: Json, why: str, write: Any) -> None:
    value = {"git_custom_nodes": {**GOOD, **packs}}
    lock = lock_of(write(value, sort_keys=False) if write is yaml.safe_dump else write(value))
    assert urls(lock) == [ONE]
    (left,) = lock["left_out"]
    assert why in left["reason"], left


@pytest.mark.parametrize(
    ("packs", "address", "remark"),
    [
        ({"http://github.com/o/p": entry()}, "https://github.com/o/p", "fetched by https"),
        ({"git://github.com/o/p.git": entry()}, "https://github.com/o/p.git", "fetched by https"),
        ({f"https://{TOKEN}@github.com/o/p": entry()}, "https://github.com/o/p", "had a login"),
        ({f"https://me:{TOKEN}@github.com/o/p": entry()}, "https://github.com/o/p", "had a login"),
        ({f"https://oauth2:{TOKEN}@gitlab.com/o/p.git": entry()}, "https://gitlab.com/o/p.git", "had a login"),
        ({"github.com/o/p": entry()}, "https://github.com/o/p", ""),
        ({"git+https://github.com/o/p": entry()}, "https://github.com/o/p", ""),
        ({"https://github.com/o/p/": entry()}, "https://github.com/o/p", ""),
        ({"git@github.com:o/p.git": entry()}, "git@github.com:o/p.git", ""),
        ({"ssh://git@github.com/o/p": entry()}, "ssh://git@github.com/o/p", ""),
        ({"https://github.com/o/p": HASH.upper()}, "https://github.com/o/p", ""),
        ({"p": {"url": "https://github.com/o/p", "commit": HASH}}, "https://github.com/o/p", ""),
        ([{"url": "https://github.com/o/p", "hash": HASH}], "https://github.com/o/p", ""),
        ([f"https://github.com/o/p@{HASH}"], "https://github.com/o/p", ""),
    ],
)
def test_a_pack_in_another_form_is_understood(packs: Any, address: str, remark: str) -> None:
    """Nothing of it is left out; a login is never kept, and that it is gone is told."""
    lock = lock_of({"git_custom_nodes": packs})
    assert (urls(lock), lock["left_out"]) == ([address], [])
    assert lock["node_packs"][0]["commit"] == HASH
    assert [remark in text for text in lock["remarks"]] == [True] * bool(remark)


def test_the_same_pack_twice_is_one() -> None:
    lock = lock_of({"git_custom_nodes": {**GOOD, ONE + ".git": entry(), "http://github.com/Owner/one": entry()}})
    assert (urls(lock), lock["left_out"]) == ([ONE], [])


COMMIT_SOURCE = f"git+https://github.com/openai/CLIP.git@{HASH}"
PIPS = {
    "torch==2.4.0+cu121": "",
    "Jinja2==3.1.4": "",
    "jinja2==3.1.5": "",
    "clip @ " + COMMIT_SOURCE: "",
    f"-e git+https://github.com/o/tool@{HASH}#egg=tool&subdirectory=sub": "",
    f"private @ git+https://{TOKEN}@github.com/o/private@{HASH}": "",
    f"signed @ https://files.example/signed-1.0-py3-none-any.whl?X-Token={TOKEN}": "",
    "-e /root/mine": "",
    "--editable=/root/other": "",
    "packaging @ file:///croot/packaging_1720101850331/work": "",
    "floating @ git+https://github.com/o/floating@main": "",
    "wheel @ file:///C:/wheels/wheel.whl": "",
    "torch_vision @ file:///D:/a/deps/torch_vision-0.21.0%2Bcu126-cp312-cp312-win_amd64.whl#sha256=00": "",
    "antlr4-runtime @ file:///tmp/antlr4-runtime-4.9.3.tar.gz": "",
    "renamed @ file:///tmp/another-4.9.3.tar.gz": "",
    "# Editable install with no version control (mine==1.0)": "",
    "numpy": "1.26.4",
    "colour": "",
    "not a package at all": "",
}


def test_packages_are_read_line_by_line() -> None:
    """As pip freezes them on Windows, with conda, with editable ones; addresses with a token are not kept."""
    lock = lock_of({"git_custom_nodes": GOOD, "pips": PIPS})
    assert lock["packages"] == {
        "torch": "2.4.0+cu121",
        "Jinja2": "3.1.4",
        "numpy": "1.26.4",
        "torch_vision": "0.21.0+cu126",
        "antlr4-runtime": "4.9.3",
    }
    assert lock["sources"] == {
        "clip": COMMIT_SOURCE,
        "tool": f"git+https://github.com/o/tool@{HASH}#subdirectory=sub",
        "private": f"git+https://github.com/o/private@{HASH}",
    }
    reasons = {each["name"].split(" ")[0]: each["reason"] for each in lock["left_out"]}
    assert set(reasons) == {
        "jinja2==3.1.5",
        "signed",
        "-e",
        "--editable=/root/other",
        "packaging",
        "floating",
        "wheel",
        "renamed",
        "colour",
        "not",
    }
    assert "3.1.4 was taken" in reasons["jinja2==3.1.5"]
    assert "token" in reasons["signed"]
    assert all("that the snapshot was made on" in reasons[name] for name in ("-e", "packaging", "wheel"))
    assert "no commit" in reasons["floating"]
    assert "private had a login" in " ".join(lock["remarks"])


@pytest.mark.parametrize(
    "pips", [[*PIPS], "\n".join(PIPS), None, "", 3], ids=["list", "text", "null", "empty", "number"]
)
def test_packages_in_another_form(pips: Any) -> None:
    lock = lock_of({"git_custom_nodes": GOOD, "pips": pips})
    assert ("clip" in lock["sources"]) == isinstance(pips, (list, str)) is bool(pips) or not pips or pips == 3


def test_registry_packs_and_files_say_what_to_do() -> None:
    """Versions, none, nightly, disabled ones, hostile ids; files as a list of objects, of names, or an object."""
    registry: Json = {
        "comfyui-kjnodes": "1.0.5",
        "no-version": None,
        "night": "nightly",
        "off": {"version": "1.0", "disabled": True},
    }
    registry["$(id)"] = "1"
    for files in (
        [{"filename": "mine.py", "disabled": False}, {"filename": "websocket_image_save.py"}],
        ["mine.py"],
        {"mine.py": False},
    ):
        lock = lock_of({"git_custom_nodes": GOOD, "cnr_custom_nodes": registry, "file_custom_nodes": files})
        said = {each["name"]: each["reason"] for each in lock["left_out"]}
        assert list(said) == ["no-version", "night", "$(id)", "mine.py"]
        assert [(pack["folder"], pack["version"]) for pack in lock["node_packs"][1:]] == [
            ("comfyui-kjnodes", "1.0.5"),
            (".disabled/off@1_0", "1.0"),
        ]
        assert "no version of it" in said["no-version"]
        assert "its repository" in said["night"]
        assert "Copy it into custom_nodes yourself" in said["mine.py"]


def test_other_fields_cost_nothing() -> None:
    """Unknown fields, a ComfyUI without a commit, comfy-lock.yaml's models."""
    for comfyui in (None, 3, {"commit": HASH}, "v0.3.0"):
        lock = lock_of({"comfyui": comfyui, "git_custom_nodes": GOOD, "made_by": "me", "models": [{"model": "a"}]})
        assert (urls(lock), lock["left_out"]) == ([ONE], [])
        assert lock["comfyui_commit"] == {None: None, 3: None, "v0.3.0": "v0.3.0"}.get(
            comfyui if not isinstance(comfyui, dict) else "", HASH
        )
        assert "1 models" in lock["remarks"][0] and "made_by" in lock["remarks"][1]


JSON_TEXT = json.dumps({"git_custom_nodes": GOOD, "pips": {"a==1.0": ""}}, indent=4)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufeff" + JSON_TEXT, id="mark"),
        pytest.param(JSON_TEXT.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(JSON_TEXT.replace("    ", "\t"), id="tabs"),
        pytest.param(JSON_TEXT.replace("}\n}", "},\n}"), id="last comma"),
        pytest.param(JSON_TEXT.replace("},\n", "}\n"), id="forgotten comma"),
        pytest.param("// mine\n" + JSON_TEXT.replace("{\n", "{ /* one */\n", 1), id="comments"),
        pytest.param(
            f"{{'git_custom_nodes': {{'{ONE}': {{'hash': '{HASH}'}}}}, 'pips': {{'a==1.0': ''}}}}", id="Python"
        ),
        pytest.param(json.dumps({"snapshot": json.loads(JSON_TEXT)}), id="wrapped"),
        pytest.param(
            f"custom_nodes:\n\tgit_custom_nodes:\n\t\t{ONE}:\n\t\t\thash: {HASH}\n\tpips:\n\t\ta==1.0: ''\n",
            id="YAML tabs",
        ),
        pytest.param(f"git_custom_nodes:\n  ? {ONE}\n  : hash: {HASH}\npips:\n  ? a==1.0\n  : ''\n", id="? key"),
        pytest.param(
            f'"git_custom_nodes":\n  "{ONE}":\n    "hash": "{HASH}"\npips: {{a==1.0: ""}}\n', id="quoted keys"
        ),
        pytest.param(f"a: &e {{hash: {HASH}}}\ngit_custom_nodes:\n  {ONE}: *e\npips: [a==1.0]\n", id="alias"),
        pytest.param(f"a: &e {{hash: {HASH}}}\ngit_custom_nodes:\n  {ONE}:\n    <<: *e\npips: [a==1.0]\n", id="merge"),
        pytest.param(
            f"git_custom_nodes:\n  {ONE}:\n    hash: >-\n      {HASH}\npips: !!set {{a==1.0}}\n", id="folded, set"
        ),
        pytest.param(
            f"git_custom_nodes: !!python/object/apply:os.system\n  {ONE}: {{hash: !!str {HASH}}}\npips: [a==1.0]\n",
            id="tags",
        ),
        pytest.param(
            f"%YAML 1.1\n---\ngit_custom_nodes:\n  {ONE}: {{hash: {HASH},}}\npips: [a==1.0,]\n...\n", id="document"
        ),
        pytest.param(
            f"# mine\ngit_custom_nodes:\n  {ONE}: # good\n    hash: {HASH}\npips: [a==1.0]\n\x00", id="a zero byte"
        ),
    ],
)
def test_files_are_read_as_people_have_them(text: str) -> None:
    """Also by their bytes, in the encodings of Windows' shells and editors."""
    assert (urls(lock_of(text)), lock_of(text)["packages"]) == ([ONE], {"a": "1.0"})
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        if encoding != "utf-8" and "\0" in text:
            continue
        assert urls(lock_of(decoded(text.lstrip("\ufeff").encode(encoding)))) == [ONE], encoding


def test_a_key_that_stands_twice_is_told() -> None:
    """The later value counts; two sections of one name are put together."""
    one, two = (json.dumps({f"https://github.com/o/{name}": entry()}) for name in "pq")
    lock = lock_of(f'{{"git_custom_nodes": {one}, "git_custom_nodes": {two}, "comfyui": "a", "comfyui": "b"}}')
    assert urls(lock) == ["https://github.com/o/p", "https://github.com/o/q"]
    assert [each["name"] for each in lock["left_out"]] == ["comfyui"]
    assert lock["comfyui_commit"] == "b"
    lock = lock_of(f"git_custom_nodes:\n  {ONE}: {{hash: {OTHER_HASH}}}\n  {ONE}: {{hash: {HASH}}}\n  ? [x]\n  : y\n")
    assert (urls(lock), lock["node_packs"][0]["commit"]) == ([ONE], HASH)
    assert [each["name"] for each in lock["left_out"]] == ["hash", "line 4 has a key that is not text"]
    lock = lock_of(f"---\ngit_custom_nodes:\n  {ONE}: {{hash: {HASH}}}\n---\na: 1\n---\n")
    assert [each["name"] for each in lock["left_out"]] == ["line 4 begins a second document, which is not read"]


def test_a_section_that_cannot_be_read_costs_no_other() -> None:
    lock = lock_of({"git_custom_nodes": GOOD, "cnr_custom_nodes": "x", "file_custom_nodes": 3, "pips": True})
    assert urls(lock) == [ONE]
    assert [each["name"] for each in lock["left_out"]] == ["cnr_custom_nodes", "file_custom_nodes", "pips"]


def test_exact_refuses_with_everything_that_cannot_be_had() -> None:
    registry = {f"pack-{number}": "nightly" for number in range(40)}
    checked = check_manifest(
        {"manager_snapshot": {"git_custom_nodes": GOOD, "cnr_custom_nodes": registry}}, ["https"], ""
    )
    with pytest.raises(InvalidManifest) as caught:
        check_nothing_left_out(checked)
    assert all(f"{name}:" in caught.value.message for name in registry)
    check_nothing_left_out(check_manifest({"manager_snapshot": {"git_custom_nodes": GOOD}}, ["https"], ""))


def test_a_snapshot_of_which_nothing_can_be_had_says_all_of_it() -> None:
    with pytest.raises(InvalidManifest, match="kjnodes: Its nightly version"):
        lock_of({"cnr_custom_nodes": {"kjnodes": "nightly"}})


def test_our_own_lock_is_one() -> None:
    lock = {"format": 1, "node_packs": [{"name": "One", "repo_url": ONE, "commit": HASH}]}
    assert urls(lock_of(json.dumps({"success": True, "lock": lock}))) == urls(lock_of(lock)) == [ONE]


def test_a_huge_snapshot_is_read_in_time_and_bounded() -> None:
    """What is too much of it is told in one line."""
    packs = {f"https://github.com/owner/pack-{number}": entry() for number in range(1500)}
    began = time.process_time()
    lock = lock_of({"git_custom_nodes": packs, "cnr_custom_nodes": dict.fromkeys(map(str, range(3000)), "1")})
    assert time.process_time() - began < 2
    assert len(lock["node_packs"]) == 1000
    assert len(lock["left_out"]) == 1001 and lock["left_out"][-1]["name"] == "2500 more entries"
    assert read_lock(lock, ["https"]).left_out[0]["reason"].startswith("A list has at most")


@pytest.mark.parametrize(
    "hostile",
    [
        '{"a": "' + "\\" * 200_001,
        "{" + "/*" * 200_000,
        "{" + '"' * 300_001,
        "{" + ", " * 200_000,
        "{," + " " * 400_000,
        "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(f"b{n}: &b{n} [{f'*b{n - 1},' * 9 if n else '*a'}]\n" for n in range(9)),
        "a:\n" + "\t" * 3000 + "b: 1\n",
    ],
)
def test_a_hostile_text_costs_little(hostile: str) -> None:
    began = time.process_time()
    with pytest.raises(InvalidManifest):
        lock_of(hostile)
    assert time.process_time() - began < 2


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\x85"), max_size=12)
"""U+0085 is a line break for PyYAML, which does not read its own back."""
_PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    _WORDS,
    st.sampled_from(["1.10", "0123", "1e5", "on", "~", "2024-01-01", HASH, "=", "- a", "a: b", "? x"]),
)
_DATA = st.recursive(
    _PLAIN,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_WORDS, inner, max_size=4)),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(_DATA, st.booleans(), st.sampled_from([True, False, None]), st.sampled_from([None, '"', "'", "|", ">"]))
def test_what_pyyaml_writes_is_read_back(data: Any, canonical: bool, flow: bool | None, style: str | None) -> None:
    """ComfyUI-Manager writes its YAML with PyYAML; whatever the style, the same data comes back."""
    text = yaml.dump(
        {"key": data, "same": data},
        default_flow_style=flow,
        default_style=style,
        canonical=canonical,
        allow_unicode=bool(flow),
    )
    found = parse_yaml(text)
    if style is None and not canonical:
        assert found == {"key": data, "same": data}
    else:
        assert _texts(found) == _texts({"key": data, "same": data})


def _texts(value: Any) -> Any:
    """With null, true and false as the words that a quoting style makes of them."""
    if isinstance(value, dict):
        return {key: _texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_texts(inner) for inner in value]
    return (
        {None: "null", True: "true", False: "false"}.get(value, value)
        if isinstance(value, (bool, type(None)))
        else value
    )


def test_left_out_of_is_empty_for_other_manifests() -> None:
    assert left_out_of(None) == left_out_of({"urls": [ONE]}) == []
