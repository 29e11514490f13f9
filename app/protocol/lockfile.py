"""The lock: what an install left on an instance, in a form from which exactly that can be installed again.

docs/api.md shows one. A lock that a person wrote may leave out everything but `node_packs`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Collection, Dict, List, Mapping, Optional, Sequence, Tuple

from app.protocol.manifest import ManifestFault, NodePack, check_packs, parse_nodes

FORMAT = 1
MAX_PACKAGES = 5000
_MAX_GPUS = 64
_NAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$")
_VERSION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.!+_-]{0,99}$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_MINOR = re.compile(r"^(\d+\.\d+)")


@dataclass(frozen=True)
class Lock:
    """A lock that was checked. The packs' `ref` is their commit. `left_out`: what the lock's source names and cannot
    be installed, {name, version, reason} each."""

    packs: Tuple[NodePack, ...]
    packages: Mapping[str, str] = field(default_factory=dict)
    python: Optional[str] = None
    torch: Optional[str] = None
    cuda: Optional[str] = None
    comfyui_commit: Optional[str] = None
    gpu: Tuple[str, ...] = ()
    machine: Optional[str] = None
    left_out: Tuple[Mapping[str, str], ...] = ()


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
    text = "The lock's left_out is not a list of objects."
    left_out = _objects(raw.get("left_out"), MAX_PACKAGES, "%s.left_out" % where, text)
    return Lock(
        packs=tuple(_packs(raw.get("node_packs"), schemes, "%s.node_packs" % where)),
        packages=_packages(raw.get("packages"), "%s.packages" % where),
        python=_text(raw.get("python"), "%s.python" % where),
        torch=_text(torch.get("version"), "%s.torch" % where),
        cuda=_text(torch.get("cuda"), "%s.torch" % where),
        comfyui_commit=_text(raw.get("comfyui_commit"), "%s.comfyui_commit" % where),
        gpu=tuple(_text(gpu.get("name"), "%s.gpu" % where) or "a GPU" for gpu in gpus),
        machine=_text(raw.get("machine"), "%s.machine" % where),
        left_out=tuple(
            {key: str(entry.get(key, ""))[:300] for key in ("name", "version", "reason")} for entry in left_out
        ),
    )


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
    packs: List[NodePack] = []
    for index, entry in enumerate(raw):
        at = "%s[%d]" % (where, index)
        if not isinstance(entry, Mapping) or not _COMMIT.match(str(entry.get("commit"))):
            raise ManifestFault("%s.commit" % at, "A node pack of a lock has a commit of 40 hex digits.")
        folder, name = entry.get("folder"), entry.get("name")
        node = {
            "name": name,
            "repo_url": entry.get("repo_url"),
            "subfolder": None if folder == name else folder,
            "requirements_file": entry.get("requirements_file"),
            "ref": entry["commit"],
        }
        try:
            packs += parse_nodes([node], schemes)
        except ManifestFault as fault:
            raise ManifestFault(at, fault.message) from None
    return check_packs(packs, where)


def is_package(name: Any, version: Any) -> bool:
    """Whether these are a package's plain name and version, which can stand in a line of requirements."""
    return isinstance(version, str) and bool(_NAME.match(str(name)) and _VERSION.match(version))


def _packages(raw: Any, where: str) -> Dict[str, str]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping) or len(raw) > MAX_PACKAGES:
        raise ManifestFault(where, "The lock's packages are not an object of names and versions.")
    for name, version in raw.items():
        if not is_package(name, version):
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
    if not isinstance(raw, list) or len(raw) > most or not all(isinstance(entry, Mapping) for entry in raw):
        raise ManifestFault(where, message)
    return raw


def _text(raw: Any, where: str) -> Optional[str]:
    if raw is not None and not (isinstance(raw, str) and len(raw) <= 200 and raw.isprintable()):
        raise ManifestFault(where, "This is not a line of text.")
    return raw


def _minor(version: Optional[str]) -> Optional[str]:
    found = _MINOR.match(version or "")
    return found.group(1) if found else None
