"""What people give as a list of node packs: addresses, manifests, snapshots of ComfyUI-Manager, locks."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from app.domain.errors import InvalidManifest, InvalidRequest
from app.domain.request import check_manifest, left_out_of, packs_of
from app.protocol import manifest as manifests
from app.protocol.lockfile import read_lock
from app.protocol.manager_snapshot import write_snapshot
from app.protocol.other_files.read import read_snapshot
from app.protocol.snapshot_text import decoded
from app.sync.http.json_body import parse_object
from bench.addresses import machines, repositories
from bench.fuzz.judge import Parser

SCHEMES = ("https", "ssh")
_PATH = "scripts/custom_nodes.csv"


def check_address(data: bytes) -> str | None:
    """As `bench.addresses` judges, for bytes."""
    text = data.decode("utf-8", "replace")[:4000]
    return machines.check(text) or repositories.check(text)


def check_manifest_text(data: bytes) -> str | None:
    """A CSV, and where it is JSON any form of a manifest: packs that can be installed, the same when they are read
    again; or an error that names the field."""
    raws: list[Any] = [{"csv": data.decode("utf-8", "surrogateescape")}, {"csv": decoded(data)}]
    value = _json(data)
    if isinstance(value, dict):
        raws += [value, {"nodes": [value]}]
    if isinstance(value, list):
        raws += [{"nodes": value}, {"urls": value}]
    for raw in raws:
        wrong = _of_manifest(raw)
        if wrong:
            return wrong
    return None


def check_snapshot(data: bytes) -> str | None:
    """A lock that can be sent and stored, and that gives the same packs by way of a snapshot again."""
    raws: list[Any] = [decoded(data)]
    value = _json(data)
    raws += [value] if isinstance(value, dict) else []
    for raw in raws:
        try:
            lock = read_snapshot(raw, SCHEMES)
        except manifests.ManifestFault as fault:
            wrong = _words(fault.message, fault.field)
            if wrong:
                return wrong
            continue
        wrong = _of_manifest({"lock": lock})
        if wrong:
            return wrong
        if "left_out" in lock and "remarks" in lock:
            wrong = _again(lock)
            if wrong:
                return wrong
    return None


def check_lock(data: bytes) -> str | None:
    """A lock whose every text is one line, or an error that names the field."""
    value = _json(data)
    return None if value is None else _of_manifest({"lock": value})


def _of_manifest(raw: Any) -> str | None:
    try:
        checked = check_manifest(raw, SCHEMES, _PATH)
    except InvalidManifest as exc:
        return _words(exc.message, exc.field or "")
    json.dumps(checked, allow_nan=False).encode("ascii")
    for entry in left_out_of(checked):
        json.dumps(entry).encode("ascii")
    packs = packs_of(checked, SCHEMES)
    wrong = _of_packs(packs) if packs is not None else None
    return wrong or (_of_lock(checked["lock"]) if checked and "lock" in checked else None)


def _of_packs(packs: list[manifests.NodePack]) -> str | None:
    if not 1 <= len(packs) <= manifests.MAX_NODES:
        return f"{len(packs)} packs"
    for pack in packs:
        folder = pack.folder.replace(f"{manifests.DISABLED_FOLDER}/", "", 1) if pack.disabled else pack.folder
        if not manifests.is_path(folder) or not f"{pack.repo_url}{pack.ref or ''}".isprintable():
            return f"{pack!r} is not clean"
    if manifests.parse_nodes([pack.to_json() for pack in packs], SCHEMES) != packs:
        return f"read again, {packs[:3]!r} are others"
    # a row of a CSV that begins with # is none, and a CSV has neither packs of the registry nor disabled ones
    no_csv = any(pack.name.startswith("#") or pack.registry_id or pack.disabled for pack in packs)
    if not no_csv and manifests.parse_csv(_csv(packs), SCHEMES) != packs:
        return f"as a CSV, {packs[:3]!r} are others"
    return None


def _of_lock(raw: Any) -> str | None:
    lock = read_lock(raw, SCHEMES)
    for text in (lock.python, lock.torch, lock.cuda, lock.comfyui_commit, lock.machine, lock.ui_home, *lock.gpu):
        if text is not None and not text.isprintable():
            return f"{text!r} is not clean"
    for name, version in lock.packages.items():
        if not f"{name}{version}".isprintable() or " " in f"{name}{version}":
            return f"{name!r} {version!r} is no package"
    for address in (*(lock.sources or {}).values(), *lock.indexes, *lock.find_links):
        if not address.isprintable() or address.startswith("-"):
            return f"{address!r} is not clean"
    return None


def _again(lock: dict[str, Any]) -> str | None:
    """Whether a snapshot that is made of the lock has other packs or packages."""
    again = read_snapshot(json.dumps(write_snapshot(lock)), SCHEMES)
    for key in ("packages", "sources"):
        if again[key] != lock[key]:
            return f"read again, {key} {lock[key]!r:.200} are {again[key]!r:.200}"
    one, other = (_known_to_manager(each["node_packs"]) for each in (lock, again))
    return None if one == other else f"read again, {one!r:.200} are {other!r:.200}"


def _known_to_manager(packs: list[dict[str, Any]]) -> list[list[Any]]:
    """What a snapshot of its says of packs, in one order: of the registry's, the disabled ones are not in it."""
    keys = ("repo_url", "commit", "registry_id", "version", "disabled")
    kept = [pack for pack in packs if not (pack.get("registry_id") and pack.get("disabled"))]
    return sorted(([pack.get(key) or "" for key in keys] for pack in kept), key=str)


def _words(message: str, field: str) -> str | None:
    right = message and message.isprintable() and len(message) < 20_000 and field.isprintable()
    return None if right else f"{message!r:.300}, {field!r:.100} are no words"


def _csv(packs: list[manifests.NodePack]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow((*manifests.CSV_COLUMNS, *manifests.OPTIONAL_COLUMNS))
    for pack in packs:
        writer.writerow((pack.name, pack.repo_url, pack.subfolder, pack.requirements_file, pack.ref))
    return text.getvalue()


def _json(data: bytes) -> Any:
    """As a request brings it. None for what is refused as its JSON."""
    try:
        return parse_object(b'{"value": ' + data + b"}")["value"]
    except (InvalidRequest, KeyError):
        return None


def _addresses() -> list[bytes]:
    texts = (*machines.READER.texts, *repositories.READER.texts)
    return [text.encode("utf-8", "replace") for text in texts if repositories.SECRET not in text]


_LIST_WORDS = (
    b"Name,RepoUrl,Subfolder,RequirementsFile", b",Ref", b"https://github.com/", b"git@github.com:", b".git", b"/tree/",
    b"@", b"#", b'""', b'"\n', b".disabled", b"nodes", b"urls", b"csv", b"repo", b"lock", b"manager_snapshot", b"ref",
    b"path", b"main", b"0123456789abcdef0123456789abcdef01234567",
)  # fmt: skip
_SNAPSHOT_WORDS = (
    b"git_custom_nodes:", b"cnr_custom_nodes:", b"file_custom_nodes:", b"pips:", b"comfyui:", b"custom_nodes:",
    b"hash:", b"disabled: true", b"snapshot:", b"&a ", b"*a", b"<<: ", b"!!python/object:os.system ", b"!!binary ",
    b"---\n", b"...\n", b"%YAML 1.1\n", b"|\n", b">-\n", b"? ", b": ", b"- ", b"{", b"}", b"[",
    b"//", b"/*", b"*/", b",\n}",
    b"&a [*a,*a,*a]", b"numpy==1.26.4", b" @ https://example.org/x.whl",
    b"-e git+https://example.org/a/b@main#egg=b",
    b"torch==2.5.1+cu121", b"\xff\xfe", b"\0",
)  # fmt: skip

PARSERS = (
    Parser("address", check_address, _LIST_WORDS, _addresses),
    Parser("manifest", check_manifest_text, _LIST_WORDS, as_json=True),
    Parser("snapshot", check_snapshot, _SNAPSHOT_WORDS, as_json=True),
    Parser("lock", check_lock, as_json=True),
)
