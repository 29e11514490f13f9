"""What a ComfyUI says of its classes in `/object_info`, read while it comes: the answer has tens of megabytes where
there are many packs and models, and an instance is not trusted to send what it should.

`python_module` of a class (nodes.py's load_custom_node) is `nodes`, `comfy_extras.…`, `comfy_api_nodes.…` or
`custom_nodes.<folder>`; ComfyUI from before 2024-07 has none.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_CLASSES = 50_000
MAX_CLASS_CHARACTERS = 16 * 1024 * 1024
"""Of one class: a loader that offers 100,000 files has 10 MB."""
MAX_KEPT_CHARACTERS = 64 * 1024 * 1024
"""Of all classes that are kept whole."""
_LONGEST_NAME = 1000
_BLANKS = re.compile(r"[ \t\r\n]*")


class Origin(StrEnum):
    """Where a class is from."""

    CORE = "core"
    EXTRA = "extra"
    API_NODE = "api_node"
    PACK = "pack"
    UNKNOWN = "unknown"


_CORE_MODULES = {"nodes": Origin.CORE, "comfy_extras": Origin.EXTRA, "comfy_api_nodes": Origin.API_NODE}


class ObjectInfoUnusable(ValueError):
    """It is no answer of `/object_info`, or larger than any. The message says why."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """`modules`: each class's python_module, "" where it says none. `kept`: what it says in all of the classes that
    were asked for."""

    modules: Mapping[str, str]
    kept: Mapping[str, Mapping[str, Any]]

    def __contains__(self, class_name: object) -> bool:
        """Whether this ComfyUI has the class."""
        return class_name in self.modules

    def origin(self, class_name: str) -> Origin:
        """Where one of its classes is from."""
        first, _, rest = self.modules.get(class_name, "").partition(".")
        if first == "custom_nodes" and rest:
            return Origin.PACK
        return _CORE_MODULES.get(first, Origin.UNKNOWN)

    def is_core(self, class_name: str) -> bool:
        """Whether it is ComfyUI's own."""
        return self.origin(class_name) in (Origin.CORE, Origin.EXTRA, Origin.API_NODE)

    def folder(self, class_name: str) -> str | None:
        """The entry of custom_nodes that it is from, a file's without `.py`; None for ComfyUI's own."""
        return self.modules[class_name].partition(".")[2] if self.origin(class_name) is Origin.PACK else None


class ObjectInfoReader:
    """Reads the answer piece by piece: `feed` each, then `end`. Both raise ObjectInfoUnusable. Of each class only its
    module is kept, all of it for those in `keep`."""

    def __init__(self, keep: Container[str] = ()) -> None:
        self._keep = keep
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._json = json.JSONDecoder()
        self._text = ""
        self._pieces: list[str] = []
        self._waiting = 0
        self._at = 0
        """How much of the text is read."""
        self._try_from = 0
        """How long the text has to be for the next try: twice as long as for the last that failed."""
        self._begun = self._ended = False
        self._kept_characters = 0
        self._modules: dict[str, str] = {}
        self._kept: dict[str, Mapping[str, Any]] = {}

    def feed(self, piece: bytes) -> None:
        """Reads the classes that are whole by now."""
        if self._ended:
            return
        self._add(self._decoder.decode(piece))
        if len(self._text) - self._at + self._waiting >= self._try_from:
            self._join()
            self._read()

    def end(self) -> ObjectInfo:
        """What was read."""
        self._add(self._decoder.decode(b"", final=True))
        self._join()
        self._read()
        if not self._ended:
            raise ObjectInfoUnusable("it is cut off, or no JSON")
        return ObjectInfo(self._modules, self._kept)

    def _add(self, text: str) -> None:
        self._pieces.append(text)
        self._waiting += len(text)

    def _join(self) -> None:
        """What came goes behind what is left, once for many pieces."""
        self._text = "".join([self._text[self._at :], *self._pieces])
        self._pieces.clear()
        self._at = self._waiting = 0

    def _read(self) -> None:
        if not self._begun and self._next() is not None:
            self._begun = self._mark("{")
        while self._begun and not self._ended and self._class():
            pass
        left = len(self._text) - self._at
        if left > MAX_CLASS_CHARACTERS:
            raise ObjectInfoUnusable("one of its classes is larger than any")
        self._try_from = 2 * left

    def _class(self) -> bool:
        """Reads one class with the mark that follows it; False, and nothing is read, where it is not whole yet."""
        start = self._at
        if self._next() == "}" and not self._modules:
            self._ended = self._mark("}")
            return False
        name = self._value()
        if name is not None and self._next() is not None:
            self._mark(":")
            about = self._value()
            mark = self._next()
            if about is not None and mark is not None:
                self._note(name[0], about[0], self._at - start)
                self._ended = mark == "}"
                return self._mark("}" if self._ended else ",")
        self._at = start
        return False

    def _next(self) -> str | None:
        """The next character that is no space; None at the end of what is there."""
        found = _BLANKS.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at] if self._at < len(self._text) else None

    def _mark(self, mark: str) -> bool:
        if self._next() != mark:
            raise ObjectInfoUnusable("it is no JSON object")
        self._at += 1
        return True

    def _value(self) -> tuple[Any] | None:
        """The next value in a tuple; None while it is not whole."""
        if self._next() is None:
            return None
        try:
            value, self._at = self._json.raw_decode(self._text, self._at)
        except json.JSONDecodeError:
            return None
        except (ValueError, RecursionError, MemoryError) as exc:
            raise ObjectInfoUnusable("it is no JSON that can be read") from exc
        return (value,)

    def _note(self, name: Any, about: Any, characters: int) -> None:
        if not isinstance(name, str) or not isinstance(about, dict):
            raise ObjectInfoUnusable("it is no list of classes")
        if len(name) > _LONGEST_NAME:
            return
        if len(self._modules) >= MAX_CLASSES:
            raise ObjectInfoUnusable("it has more classes than any")
        module = about.get("python_module")
        self._modules[name] = module if isinstance(module, str) and len(module) <= _LONGEST_NAME else ""
        if name in self._keep:
            self._kept_characters += characters
            if self._kept_characters > MAX_KEPT_CHARACTERS:
                raise ObjectInfoUnusable("its classes have more to choose from than any")
            self._kept[name] = about
