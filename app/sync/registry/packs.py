"""Packs of the registry in a list: found there before an instance is touched, and told with their versions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.errors import InvalidManifest
from app.domain.registry_errors import RegistryPackNotFound, RegistryVersionNotFound, RegistryVersionRefused
from app.nodemap.registry_answers import REFUSED, RegistryNode, RegistryVersion, Status
from app.protocol.manifest import ManifestFault, parse_urls
from app.protocol.pasted_text import split_pasted
from app.protocol.progress_json import iso
from app.protocol.registry_ref import NIGHTLY, RegistryRef, read_registry_ref
from app.protocol.repo_url import repo_name
from app.remote.web_text import Open
from app.sync.registry.client import Asking, Registry, RegistryUnreachable

_BESIDE = ("left_out", "remarks", "needs")
"""What a list has besides that another tool's file or a workflow became."""
_WORDS = {
    Status.BANNED: "banned",
    Status.DELETED: "deleted",
    Status.FLAGGED: "flagged as possibly harmful",
    Status.PENDING: "not checked yet (pending)",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What the registry says of one pack of a list. `asked`: as the list names it; `refused`: why it cannot be had;
    without `node` and `refused` the registry did not answer, and the instance asks it."""

    asked: RegistryRef
    node: RegistryNode | None = None
    version: RegistryVersion | None = None
    refused: InvalidManifest | None = None

    def to_json(self) -> dict[str, Any]:
        """As `/manifests/check` tells it."""
        return {
            "asked": str(self.asked),
            "registry_id": self.node.node_id if self.node else self.asked.registry_id,
            "version": self.version.version if self.version else None,
            "status": self.version.status.value if self.version else None,
            "deprecated": bool(self.version and self.version.deprecated),
            "repo_url": self.node.repo_url if self.node else None,
            "title": self.node.title if self.node else None,
            "refused": {"code": self.refused.code, "message": self.refused.message} if self.refused else None,
        }


@dataclass(frozen=True, slots=True)
class Resolved:
    """A manifest with what the registry says of its packs filled in. `read_at`: of the oldest answer (Unix seconds)."""

    manifest: Mapping[str, Any] | None
    packs: tuple[Told, ...] = ()
    asking: Asking | None = None

    @property
    def unreached(self) -> bool:
        """Whether another way to the network may say more."""
        return self.asking is not None and bool(self.asking.problem)

    def refused(self) -> list[dict[str, str]]:
        """The packs that cannot be had, as a list's `left_out` has them."""
        return [
            {"name": each.asked.registry_id, "version": each.asked.version, "reason": each.refused.message}
            for each in self.packs
            if each.refused
        ]

    def to_json(self) -> dict[str, Any] | None:
        """As `/manifests/check` tells it; None for a list without packs of the registry."""
        if not self.packs:
            return None
        read_at = self.asking.read_at if self.asking else None
        return {
            "packs": [each.to_json() for each in self.packs],
            "read_at": None if read_at is None else iso(read_at),
            "problem": self.asking.problem if self.asking else None,
        }


class RegistryPacks:
    """Any thread. `schemes`: what git may fetch by."""

    def __init__(self, registry: Registry, schemes: Collection[str]) -> None:
        self._registry = registry
        self._schemes = schemes

    def resolved(self, manifest: Mapping[str, Any] | None, open_stream: Open | None = None) -> Resolved:
        """What the registry says of a request's packs, which nobody has checked yet. A pack that cannot be had fails in
        the run, among the others. Raises InvalidManifest where it is the only one, or where the registry is off."""
        entries = _entries(manifest, self._schemes)
        named = [(entry, ref) for entry in entries if (ref := _ref_of(entry)) is not None]
        if not named:
            return Resolved(manifest)
        if not self._registry.is_on:
            hint = "NODEFERRY_REGISTRY_URL says where it is. Or paste the address of the pack's repository."
            text = f"{named[0][1]} is a pack of ComfyUI's registry, which is switched off here."
            raise InvalidManifest(text, field="manifest", hint=hint)
        asking = self._registry.asking(open_stream)
        told = self._registry.each(lambda ref: self._told(ref, asking), dict.fromkeys(ref for _, ref in named))
        if len(named) == len(entries) and all(told[ref].refused for _, ref in named):
            refused = told[named[0][1]].refused
            assert refused is not None
            raise refused
        nodes = [_filled(entry, told.get(ref)) if (ref := _ref_of(entry)) else entry for entry in entries]
        rest = {key: value for key, value in (manifest or {}).items() if key != "urls"}
        return Resolved(_renamed({**rest, "nodes": nodes}, told.values()), tuple(told.values()), asking)

    def _told(self, asked: RegistryRef, asking: Asking) -> Told:
        try:
            node = self._registry.node(asked.registry_id, asking)
            if node is None:
                text = f"ComfyUI's registry has no pack {asked.registry_id}."
                return Told(asked, refused=RegistryPackNotFound(text, hint=_OTHERWISE, field="manifest"))
            if node.status in REFUSED:
                return Told(asked, node, refused=_refused(asked.registry_id, node.status, ""))
            if asked.version == NIGHTLY:
                return Told(asked, node, refused=None if node.repo_url else _no_repository(asked))
            version = self._version(node, asked, asking) if asked.version else node.newest
        except RegistryUnreachable as exc:
            asking.note(problem=str(exc))
            return Told(asked)
        if version is None and asked.version:
            return Told(asked, node, refused=_no_version(node, asked))
        if version is not None and version.status in REFUSED:
            return Told(
                asked, node, version, _refused(f"{node.node_id}@{version.version}", version.status, version.reason)
            )
        return Told(asked, node, version)

    def _version(self, node: RegistryNode, asked: RegistryRef, asking: Asking) -> RegistryVersion | None:
        """The version, whether it is written with a `v` or without."""
        for name in dict.fromkeys((asked.version, asked.version.lstrip("vV"), f"v{asked.version}")):
            if node.newest is not None and node.newest.version == name and node.newest.archive_url:
                return node.newest
            found = self._registry.version(node.node_id, name, asking)
            if found is not None:
                return found
        return None


_OTHERWISE = "Look its id up at registry.comfy.org, or paste the address of its repository."


def _refused(what: str, status: Status, reason: str) -> RegistryVersionRefused:
    why = f" It says: {reason.rstrip('.')}." if reason else ""
    text = f"ComfyUI's registry does not give {what} away: it is {_WORDS[status]}.{why}"
    return RegistryVersionRefused(text, hint="Choose another version, or another pack.", field="manifest")


def _no_version(node: RegistryNode, asked: RegistryRef) -> RegistryVersionNotFound:
    newest = f" Its newest version is {node.newest.version}." if node.newest else ""
    text = f"ComfyUI's registry has no version {asked.version} of {node.node_id}.{newest}"
    hint = f"{node.node_id} alone installs the newest."
    return RegistryVersionNotFound(text, hint=hint, field="manifest")


def _no_repository(asked: RegistryRef) -> RegistryVersionNotFound:
    text = f"ComfyUI's registry does not name the repository of {asked.registry_id}, which nightly is."
    return RegistryVersionNotFound(
        text, hint=f"{asked.registry_id} alone installs the newest version.", field="manifest"
    )


def _entries(manifest: Mapping[str, Any] | None, schemes: Collection[str]) -> Sequence[Any]:
    """The entries of a list as `nodes` has them, where it names packs of the registry; none for other lists, and for
    one that will be refused anyway."""
    if not isinstance(manifest, Mapping) or {"nodes", "urls"} <= set(manifest):
        return ()
    nodes, urls = manifest.get("nodes"), manifest.get("urls")
    if isinstance(nodes, list) and set(manifest) <= {"nodes", *_BESIDE}:
        return nodes
    if len(manifest) != 1 or not isinstance(urls, list) or not all(isinstance(text, str) for text in urls):
        return ()
    pieces = [piece for text in urls for piece in split_pasted(text)]
    refs = [read_registry_ref(piece) for piece in pieces]
    if not any(refs):
        return ()
    try:
        return [
            _as_entry(ref) if ref else parse_urls([piece], schemes)[0].to_json()
            for piece, ref in zip(pieces, refs, strict=True)
        ]
    except ManifestFault:
        return ()


def _as_entry(ref: RegistryRef) -> dict[str, Any]:
    return {"registry_id": ref.registry_id, **({"version": ref.version} if ref.version else {})}


def _ref_of(entry: Any) -> RegistryRef | None:
    """The pack of the registry that an entry names, as far as it is right and nobody has resolved it."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("registry_id"), str) or entry.get("archive_url"):
        return None
    return read_registry_ref(f"{entry['registry_id']}@{entry.get('version') or 'latest'}")


def _renamed(manifest: Mapping[str, Any], told: Iterable[Told]) -> Mapping[str, Any]:
    """The manifest, where what its workflow needs is said of the packs as the registry spells them."""
    wanted = manifest.get("needs")
    packs = wanted.get("packs") if isinstance(wanted, Mapping) else None
    if not isinstance(packs, (list, tuple)) or not all(isinstance(pack, Mapping) for pack in packs):
        return manifest
    names = {each.asked.registry_id: each.node.node_id for each in told if each.node}
    renamed = [{**pack, "name": names.get(str(pack.get("name")), pack.get("name"))} for pack in packs]
    return {**manifest, "needs": {**dict(wanted or {}), "packs": renamed}}


def _filled(entry: Mapping[str, Any], told: Told | None) -> Mapping[str, Any]:
    """An entry with what is known of it."""
    if told is None or told.node is None or told.refused:
        return entry
    repo_url = entry.get("repo_url") or told.node.repo_url
    if told.asked.version == NIGHTLY:
        rest = {key: value for key, value in entry.items() if key not in ("registry_id", "version")}
        return {"name": repo_name(str(repo_url)), **rest, "repo_url": repo_url}
    known = {"registry_id": told.node.node_id, "repo_url": repo_url}
    if told.version is not None:
        found = told.version
        known |= {"version": found.version, "archive_url": found.archive_url, "archive_sha256": found.sha256}
    return {**entry, **{key: value for key, value in known.items() if value}}
