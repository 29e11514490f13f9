"""The lock: what an install left on an instance, in a form from which exactly that can be installed again.

docs/api.md shows one. A lock that a person wrote may leave out everything but `node_packs`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Collection, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from app.protocol.manifest import DISABLED_FOLDER, ManifestFault, NodePack, check_count, check_packs, parse_nodes
from app.protocol.package_sources import is_source

FORMAT = 1
MAX_PACKAGES = 5000
_MAX_GPUS = 64
_MAX_INDEXES = 64
_MAX_FILES = 10_000_000
_NAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?\Z")
_VERSION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.!+_-]{0,99}\Z")
_COMMIT = re.compile(r"^[0-9a-f]{40}\Z")
_ODD_VERSION = re.compile(r"^[\x21-\x7e]{1,100}\Z")
"""What Linux distributions give their packages; such a version can be there, and cannot be asked for."""
_INDEX = re.compile(r"^https?://[\x21-\x7e]{1,500}\Z")
_MINOR = re.compile(r"^(\d+\.\d+)")


@dataclass(frozen=True)
class OnlyThere:
    """A package that no other machine can fetch, and why. `path`: the folder or file on the lock's machine that it came
    from; `editable`: it is that folder."""

    name: str
    version: str
    reason: str
    path: str = ""
    editable: bool = False


@dataclass(frozen=True)
class Overlap:
    """Packages with files of the same paths: which one's files are there. `files`: how many; `example`: one of them."""

    on_top: str
    beneath: Tuple[str, ...]
    files: int
    example: str = ""


@dataclass(frozen=True)
class Lock:
    """A lock that was checked. The packs' `ref` is their commit. `sources`: the addresses of packages that are not from
    an index, None where the lock does not say (`package_sources`). `indexes` and `find_links`: where packs' own
    requirements look besides; `from_places`: the packages (canonical names) that came from there, None
    where the lock does not say. `left_out`: what the lock's source names and cannot be installed, {name, version,
    reason} each."""

    packs: Tuple[NodePack, ...]
    packages: Mapping[str, str] = field(default_factory=dict)
    python: Optional[str] = None
    torch: Optional[str] = None
    cuda: Optional[str] = None
    comfyui_commit: Optional[str] = None
    gpu: Tuple[str, ...] = ()
    machine: Optional[str] = None
    left_out: Tuple[Mapping[str, str], ...] = ()
    sources: Optional[Mapping[str, str]] = None
    only_there: Tuple[OnlyThere, ...] = ()
    overlaps: Tuple[Overlap, ...] = ()
    indexes: Tuple[str, ...] = ()
    find_links: Tuple[str, ...] = ()
    from_places: Optional[FrozenSet[str]] = None
    ui_home: Optional[str] = None
    remarks: Tuple[str, ...] = ()
    """What the lock's source says otherwise, a sentence each; no loss."""
    repairs: bool = False
    """It is what a second round found: right about its own packages, and silent about all others."""


def read_lock(raw: Any, schemes: Collection[str], where: str = "manifest.lock") -> Lock:
    """The lock of a JSON object. Raises ManifestFault naming the field."""
    if not isinstance(raw, Mapping):
        raise ManifestFault(where, "The lock is not an object.")
    if raw.get("format", FORMAT) != FORMAT:
        raise ManifestFault("%s.format" % where, "The lock has another format than %d." % FORMAT)
    torch = {} if raw.get("torch") is None else raw["torch"]
    if not isinstance(torch, Mapping):
        raise ManifestFault("%s.torch" % where, "The lock's torch is not an object.")
    gpus = _objects(raw.get("gpu"), _MAX_GPUS, "%s.gpu" % where, "The lock's GPUs are not a list of objects.")
    left_out, remarks = read_told(raw, where)
    return Lock(
        packs=tuple(_packs(raw.get("node_packs"), schemes, "%s.node_packs" % where)),
        packages=_packages(raw.get("packages"), "%s.packages" % where),
        python=_text(raw.get("python"), "%s.python" % where),
        torch=_text(torch.get("version"), "%s.torch" % where),
        cuda=_text(torch.get("cuda"), "%s.torch" % where),
        comfyui_commit=_text(raw.get("comfyui_commit"), "%s.comfyui_commit" % where),
        gpu=tuple(_text(gpu.get("name"), "%s.gpu" % where) or "a GPU" for gpu in gpus),
        machine=_text(raw.get("machine"), "%s.machine" % where),
        left_out=left_out,
        sources=_sources(raw.get("sources"), "%s.sources" % where),
        only_there=tuple(_only_there(raw.get("only_there"), "%s.only_there" % where)),
        overlaps=tuple(_overlaps(raw.get("overlaps"), "%s.overlaps" % where)),
        indexes=_addresses(raw.get("indexes"), "%s.indexes" % where),
        ui_home=_text(raw.get("ui_home"), "%s.ui_home" % where),
        repairs=raw.get("repairs") is True,
        remarks=remarks,
        find_links=_addresses(raw.get("find_links"), "%s.find_links" % where),
        from_places=_names(raw.get("from_places"), "%s.from_places" % where),
    )


def read_told(raw: Mapping[str, Any], where: str) -> Tuple[Tuple[Mapping[str, str], ...], Tuple[str, ...]]:
    """The `left_out` and `remarks` of a lock, or of a list that another tool's file became. Raises ManifestFault."""
    text = "left_out is not a list of objects."
    left_out = _objects(raw.get("left_out"), MAX_PACKAGES, "%s.left_out" % where, text)
    entries = tuple({key: str(entry.get(key, ""))[:300] for key in ("name", "version", "reason")} for entry in left_out)
    return entries, _remarks(raw.get("remarks"), "%s.remarks" % where)


def mismatches(
    lock: Lock,
    python: str,
    torch: Optional[str],
    cuda: Optional[str],
    *,
    gpus: Optional[Sequence[str]] = None,
    machine: Optional[str] = None,
) -> List[str]:
    """What the lock was made with and an instance with this Python, torch, CUDA, these GPUs (None: not known) and this
    kind of processor does not have, a sentence each. Another GPU is none; no GPU is one."""
    found = []
    for what, wanted, present in (
        ("Python", _minor(lock.python), _minor(python)),
        ("torch", lock.torch, torch),
        ("CUDA", lock.cuda, cuda),
    ):
        if wanted and wanted != present:
            found.append("%s is %s, the lock has %s" % (what, present or "not installed", wanted))
    if lock.gpu and gpus is not None and not gpus:
        found.append("The instance has no GPU, the lock has %s" % ", ".join(lock.gpu))
    if lock.machine and machine and lock.machine != machine:
        found.append("The processor is %s, the lock has %s" % (machine, lock.machine))
    return found


def _packs(raw: Any, schemes: Collection[str], where: str) -> List[NodePack]:
    if not isinstance(raw, list):
        raise ManifestFault(where, "The lock has no list of node packs.")
    check_count(len(raw), where)
    packs: List[NodePack] = []
    for index, entry in enumerate(raw):
        at = "%s[%d]" % (where, index)
        if isinstance(entry, Mapping) and entry.get("registry_id") and not entry.get("commit"):
            packs.append(_registry_pack(entry, schemes, at))
            continue
        commit = entry.get("commit") if isinstance(entry, Mapping) else None
        if not isinstance(commit, str) or not _COMMIT.match(commit):
            raise ManifestFault("%s.commit" % at, "A node pack of a lock has a commit of 40 hex digits.")
        node = {
            "name": entry.get("name"),
            "repo_url": entry.get("repo_url"),
            "subfolder": _subfolder(entry),
            "disabled": entry.get("disabled"),
            "requirements_file": entry.get("requirements_file"),
            "ref": entry["commit"],
        }
        try:
            packs += parse_nodes([node], schemes)
        except ManifestFault as fault:
            raise ManifestFault(at, fault.message) from None
    return check_packs(packs, where)


def _registry_pack(entry: Mapping[str, Any], schemes: Collection[str], at: str) -> NodePack:
    """A pack of ComfyUI's registry: exactly its version."""
    keys = ("name", "repo_url", "requirements_file", "registry_id", "version", "archive_sha256", "disabled")
    node = {**{key: entry.get(key) for key in keys}, "subfolder": _subfolder(entry)}
    if not entry.get("version"):
        raise ManifestFault("%s.version" % at, "A pack of ComfyUI's registry has a version in a lock.")
    try:
        pack = parse_nodes([node], schemes)[0]
    except ManifestFault as fault:
        raise ManifestFault(at, fault.message) from None
    if not pack.registry_id:
        raise ManifestFault("%s.commit" % at, "A nightly version is its repository: the lock needs its commit.")
    return pack


def _subfolder(entry: Mapping[str, Any]) -> Any:
    """Its folder where that is not its name; of a disabled pack, the one among those."""
    folder = entry.get("folder")
    if entry.get("disabled") is True and isinstance(folder, str):
        folder = folder.removeprefix(DISABLED_FOLDER + "/")
    return None if folder == entry.get("name") else folder


def is_package(name: Any, version: Any) -> bool:
    """Whether these are a package's plain name and version, which can stand in a line of requirements."""
    return is_name(name) and isinstance(version, str) and bool(_VERSION.match(version))


def is_name(name: Any) -> bool:
    """Whether a package may be called so (PEP 508)."""
    return isinstance(name, str) and bool(_NAME.match(name))


def can_be_there(name: Any, version: Any) -> bool:
    """Whether a lock may name a package so. Linux distributions give versions that no requirement can name."""
    return is_name(name) and isinstance(version, str) and bool(_ODD_VERSION.match(version))


def _sources(raw: Any, where: str) -> Optional[Dict[str, str]]:
    if raw is None:
        return None
    _check_most(raw, MAX_PACKAGES, where)
    if not isinstance(raw, Mapping):
        raise ManifestFault(where, "The lock's sources are not an object of names and addresses.")
    for name, address in raw.items():
        if not is_name(name) or not is_source(address):
            raise ManifestFault(
                where, "%.80r: %.200r is not an address that a package may come from." % (name, address)
            )
    return dict(raw)


def _only_there(raw: Any, where: str) -> List[OnlyThere]:
    found = []
    for entry in _objects(raw, MAX_PACKAGES, where, "The lock's only_there is not a list of objects."):
        name, version, reason = (_text(entry.get(key, ""), where) or "" for key in ("name", "version", "reason"))
        path = entry.get("path", "")
        if not isinstance(path, str) or (path and not (path.startswith("/") and path.isprintable())):
            raise ManifestFault(where, "%.80r is not a path." % path)
        found.append(OnlyThere(name, version, reason, path, entry.get("editable") is True))
    return found


def _overlaps(raw: Any, where: str) -> List[Overlap]:
    found = []
    for entry in _objects(raw, MAX_PACKAGES, where, "The lock's overlaps are not a list of objects."):
        beneath, files = entry.get("beneath"), entry.get("files", 1)
        _check_most(beneath, MAX_PACKAGES, where)
        if not isinstance(beneath, list) or not all(map(is_name, [entry.get("on_top"), *beneath])):
            raise ManifestFault(where, "An overlap of a lock names the package on top and those beneath it.")
        if type(files) is not int or not 0 <= files <= _MAX_FILES:
            raise ManifestFault(where, "An overlap's files are a number.")
        found.append(Overlap(str(entry["on_top"]), tuple(beneath), files, _text(entry.get("example", ""), where) or ""))
    return found


def _addresses(raw: Any, where: str) -> Tuple[str, ...]:
    if raw is None:
        return ()
    _check_most(raw, _MAX_INDEXES, where)
    if not isinstance(raw, list) or not all(isinstance(each, str) for each in raw):
        raise ManifestFault(where, "This is not a list of addresses.")
    wrong = [each for each in raw if not _INDEX.match(each) or "${" in each]
    if wrong:
        raise ManifestFault(where, "%.200r is not the address of a package index." % wrong[0])
    return tuple(raw)


def _remarks(raw: Any, where: str) -> Tuple[str, ...]:
    if raw is None:
        return ()
    _check_most(raw, MAX_PACKAGES, where)
    if not isinstance(raw, list) or not all(isinstance(each, str) for each in raw):
        raise ManifestFault(where, "This is not a list of sentences.")
    return tuple(each[:300] for each in raw if each[:300].isprintable())


def _names(raw: Any, where: str) -> Optional[FrozenSet[str]]:
    if raw is None:
        return None
    _check_most(raw, MAX_PACKAGES, where)
    if not isinstance(raw, list) or not all(map(is_name, raw)):
        raise ManifestFault(where, "This is not a list of packages.")
    return frozenset(re.sub(r"[-_.]+", "-", name).lower() for name in raw)


def _packages(raw: Any, where: str) -> Dict[str, str]:
    if raw is None:
        return {}
    _check_most(raw, MAX_PACKAGES, where)
    if not isinstance(raw, Mapping):
        raise ManifestFault(where, "The lock's packages are not an object of names and versions.")
    for name, version in raw.items():
        if not can_be_there(name, version):
            raise ManifestFault(where, "%.80r: %.80r is not a package and its version." % (name, version))
    names = Counter(re.sub(r"[-_.]+", "-", name).lower() for name in raw)  # as PEP 503 compares them
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise ManifestFault(where, "The package %.80r is listed twice." % twice[0])
    return dict(raw)


def _objects(raw: Any, most: int, where: str, message: str) -> List[Mapping[str, Any]]:
    """The objects of a list that may be missing. Raises ManifestFault with `message`."""
    if raw is None:
        return []
    _check_most(raw, most, where)
    if not isinstance(raw, list) or not all(isinstance(entry, Mapping) for entry in raw):
        raise ManifestFault(where, message)
    return raw


def _check_most(raw: Any, most: int, where: str) -> None:
    """Raises ManifestFault for too many entries, before any of them is looked at."""
    if isinstance(raw, (list, Mapping)) and len(raw) > most:
        raise ManifestFault(where, "%s has %d entries; at most %d are possible." % (where, len(raw), most))


def _text(raw: Any, where: str) -> Optional[str]:
    if raw is not None and not (isinstance(raw, str) and len(raw) <= 200 and raw.isprintable()):
        raise ManifestFault(where, "This is not a line of text.")
    return raw


def _minor(version: Optional[str]) -> Optional[str]:
    found = _MINOR.match(version or "")
    return found.group(1) if found else None
