"""ComfyUI's answer of its classes, read piece by piece."""

import json
import random
import time
from typing import Any

import pytest

from app.nodemap import object_info
from app.nodemap.object_info import ObjectInfo, ObjectInfoReader, ObjectInfoUnusable, Origin

CLASSES = {
    "KSampler": {"python_module": "nodes", "input": {"required": {"steps": ["INT", {"default": 20}]}}},
    "Bild, ü \U0001f5bc": {"python_module": "comfy_extras.nodes_mask", "input": {}},
    "KlingNode": {"python_module": "comfy_api_nodes.nodes_kling"},
    "FaceDetailer": {"python_module": "custom_nodes.ComfyUI-Impact-Pack", "about": ['}"', "{", "\\"]},
    "Dotted": {"python_module": "custom_nodes.pack.with.dots"},
    "Old": {"category": "from before ComfyUI said where its classes are from"},
}


def _read(content: bytes, size: int, keep: tuple[str, ...] = ()) -> ObjectInfo:
    reader = ObjectInfoReader(keep)
    for place in range(0, len(content), size):
        reader.feed(content[place : place + size])
    return reader.end()


@pytest.mark.parametrize("size", [1, 7, 64 * 1024])
@pytest.mark.parametrize("indent", [None, 2])
def test_says_where_each_class_is_from(size: int, indent: int | None) -> None:
    found = _read(json.dumps(CLASSES, indent=indent, ensure_ascii=size == 7).encode(), size)
    assert list(found.modules) == list(CLASSES)
    assert {name: found.origin(name) for name in CLASSES} == {
        "KSampler": Origin.CORE,
        "Bild, ü \U0001f5bc": Origin.EXTRA,
        "KlingNode": Origin.API_NODE,
        "FaceDetailer": Origin.PACK,
        "Dotted": Origin.PACK,
        "Old": Origin.UNKNOWN,
    }
    assert [found.folder(name) for name in ("FaceDetailer", "Dotted", "KSampler", "Old")] == [
        "ComfyUI-Impact-Pack",
        "pack.with.dots",
        None,
        None,
    ]
    assert found.is_core("KlingNode") and not found.is_core("FaceDetailer") and "Unknown" not in found


def test_keeps_whole_only_what_is_asked_for() -> None:
    found = _read(json.dumps(CLASSES).encode(), 10, keep=("KSampler", "Unknown"))
    assert found.kept == {"KSampler": CLASSES["KSampler"]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"A": {"python_module": "nodes"}',
        b'{"A": {"python_module": "nodes"',
        b'{"A": {} "B": {}}',
        b'{"A": 1}',
        b"{1: {}}",
        b'{"A": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"A": {"n": ' + b"9" * 100_000 + b"}}",
    ],
)
@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_an_answer_of_something_else_is_unusable(content: bytes, size: int) -> None:
    with pytest.raises(ObjectInfoUnusable):
        _read(content, size)


def test_a_comfyui_without_classes_has_none() -> None:
    assert _read(b" {} ", 1).modules == {}


def test_more_than_any_comfyui_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_info, "MAX_CLASSES", 3)
    with pytest.raises(ObjectInfoUnusable, match="more classes"):
        _read(json.dumps(CLASSES).encode(), 100)
    monkeypatch.setattr(object_info, "MAX_CLASS_CHARACTERS", 1000)
    with pytest.raises(ObjectInfoUnusable, match="larger"):
        _read(b'{"A": {"x": "' + b"y" * 5000, 100)
    monkeypatch.setattr(object_info, "MAX_KEPT_CHARACTERS", 50)
    with pytest.raises(ObjectInfoUnusable, match="choose"):
        _read(json.dumps(CLASSES).encode(), 100, keep=("KSampler",))


def test_whatever_is_changed_in_it_ends_in_an_answer_or_a_refusal() -> None:
    content = json.dumps(CLASSES).encode()
    rng = random.Random(20)
    for _ in range(2000):
        changed = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.choice(b'{}[]",:\\\x00\xff9')
        try:
            found: Any = _read(bytes(changed[: rng.randint(1, len(changed))]), rng.randint(1, 200), ("KSampler",))
        except ObjectInfoUnusable:
            continue
        assert all(isinstance(module, str) for module in found.modules.values())


@pytest.mark.parametrize("begin", [b"{", b'{"a": {"x": ["', b'{"a": {"x": [' + b"1," * 4_000_000])
def test_megabytes_that_never_end_take_no_time(begin: bytes) -> None:
    """An instance may send what it likes: nothing is read or copied again and again."""
    reader, started = ObjectInfoReader(), time.process_time()
    reader.feed(begin)

    def feed() -> None:
        for _ in range(600):
            reader.feed(b" " * 65536)

    with pytest.raises(ObjectInfoUnusable, match="larger"):
        feed()
    assert time.process_time() - started < 3
