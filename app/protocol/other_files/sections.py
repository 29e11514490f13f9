"""What any tool's file says, in one shape: the packs, packages and models that it names, before anything is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence

from app.protocol.left_out import LeftOutEntries, readable
from app.protocol.manifest import MAX_NODES, ManifestFault
from app.protocol.model_names import file_of, model_url, relative_path

MOST_ENTRIES = 5 * MAX_NODES
MOST_MODELS = 2000
_MOST_NAMED = 10


@dataclass
class Sections:
    """`packs`: {url, hash, folder, disabled} each; `registry`: {id, version, url, disabled}; `files`: names of single
    files; `pips`: lines as `pip freeze` prints them."""

    tool: str
    out: LeftOutEntries
    packs: List[Dict[str, Any]] = field(default_factory=list)
    registry: List[Dict[str, Any]] = field(default_factory=list)
    files: List[Dict[str, Any]] = field(default_factory=list)
    pips: List[str] = field(default_factory=list)
    models: List[Dict[str, Any]] = field(default_factory=list)
    comfyui: Any = None

    def add_pack(self, url: Any, ref: Any = "", folder: Any = "", *, disabled: bool = False) -> None:
        """A pack in a git repository. `ref`: a commit, tag or branch, where the file names one."""
        self.packs.append({"url": text_of(url), "hash": text_of(ref), "folder": text_of(folder), "disabled": disabled})

    def add_registry_pack(self, registry_id: Any, version: Any = "", url: Any = "", *, disabled: bool = False) -> None:
        """A pack of ComfyUI's registry."""
        entry = {"id": text_of(registry_id), "version": text_of(version), "url": text_of(url), "disabled": disabled}
        self.registry.append(entry)

    def add_model(self, url: Any, path: Any = "", name: Any = "", folder: Any = "", sha256: Any = "") -> None:
        """A model file that the file names. `path`: where it goes, in whatever spelling."""
        if len(self.models) >= MOST_MODELS:
            return
        at, file = file_of(text_of(path))
        address = model_url(url)
        named = relative_path(text_of(name)) or relative_path(file or "") or _last_part(address or "")
        if not named:
            self.out.add(readable(url), "It is no model that has a name or an address. Fetch it yourself.")
            return
        digest = text_of(sha256).lower()
        is_digest = len(digest) == 64 and not digest.strip("0123456789abcdef")
        found = {
            "name": named,
            "folder": relative_path(text_of(folder)) or at,
            "url": address,
            "sha256": digest if is_digest else None,
        }
        if found not in self.models:
            self.models.append(found)

    def leave_out_all(self, what: str, names: Sequence[Any], why: str) -> None:
        """Several entries of a kind as one: people read a sentence, and no list of packages."""
        if names:
            more = ", …" if len(names) > _MOST_NAMED else ""
            self.out.add(
                "%s: %s%s" % (what, ", ".join(readable(each)[:120] for each in names[:_MOST_NAMED]), more), why
            )


def _last_part(address: str) -> str:
    return address.partition("?")[0].rpartition("/")[2]


def text_of(value: Any) -> str:
    """A value that is a line of text, else ""."""
    return str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def mapping_in(raw: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    """An object of a file that may be missing. Raises ManifestFault for anything else."""
    value = raw.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ManifestFault("%s.%s" % (where, name), "%s is not an object." % name)
    return value


def list_in(raw: Mapping[str, Any], name: str, where: str, kind: Optional[type] = None) -> List[Any]:
    """A list of a file that may be missing. `kind`: what each entry has to be. Raises ManifestFault."""
    value = raw.get(name)
    at = "%s.%s" % (where, name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ManifestFault(at, "%s is not a list." % name)
    if len(value) > MOST_ENTRIES:
        raise ManifestFault(at, "%s has %d entries; at most %d are possible." % (name, len(value), MOST_ENTRIES))
    for index, each in enumerate(value):
        if kind is not None and not isinstance(each, kind):
            expected = "an object" if kind is dict else "a text"
            raise ManifestFault("%s[%d]" % (at, index), "An entry of %s is not %s." % (name, expected))
    return value


def remark_python(sections: Sections, python: Any = "", torch: Any = "", comfyui: Any = "") -> None:
    """The versions that a file was made with: told, since an instance keeps its own."""
    parts = [("Python", python), ("torch", torch), ("ComfyUI", comfyui)]
    named = ["%s %s" % (name, readable(value)[:60]) for name, value in parts if text_of(value)]
    if named:
        text = "It was made with %s. The machine keeps its own; change them yourself where a node pack needs it."
        sections.out.remark(text % ", ".join(named))
