"""What a task was asked for: an install, a rollback or a restart, validated once at the edge."""

from __future__ import annotations

import itertools
import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.address import SshAddress
from app.domain.errors import InvalidManifest, InvalidRequest
from app.protocol import manifest as manifests
from app.protocol.lockfile import read_lock, read_told
from app.protocol.manager_snapshot import named
from app.protocol.options import Options
from app.protocol.other_files.read import OtherFile, read_file
from app.protocol.pasted_address import list_in
from app.protocol.refs import TREE
from app.protocol.workflow_needs import needs_in

MAX_PATH = 1000
MAX_KEY = 200
MAX_LEFT_OUT_CHARS = 20_000
MAX_WRONG_ENTRIES = 20
OTHER_FILES = ("file", "manager_snapshot")
"""The forms of a manifest that are a file of another tool; the second as it was called when there was one."""
NO_TASK = "none"
"""In place of a task_id: a restart that follows no task."""
_FINGERPRINT = re.compile(r"(?:SHA256:)?([A-Za-z0-9+/]{43})=?")
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class FleetLimits:
    """How many installs of a fleet may run at once: in all, and on one host. None: as many as there are places."""

    at_once: int | None = None
    per_host: int | None = None

    @classmethod
    def read(cls, stored: object) -> FleetLimits | None:
        """Of a record. What is no number is no limit."""
        if not isinstance(stored, Mapping):
            return None
        numbers = [stored.get(name) for name in ("at_once", "per_host")]
        found = cls(*(each if isinstance(each, int) and each > 0 else None for each in numbers))
        return found if found != cls() else None

    def to_json(self) -> dict[str, int | None]:
        """As records and requests name it."""
        return {"at_once": self.at_once, "per_host": self.per_host}


@dataclass(frozen=True, slots=True)
class Request:
    """What every task needs to know: how its instance is reached, which ComfyUI is meant, and the options."""

    ssh_connection: str
    address: SshAddress
    ui_home: str | None = None
    venv_path: str | None = None
    options: Options = field(default_factory=Options)
    idempotency_key: str | None = None
    retry_of: str | None = None
    """The task_id of the task that this one repeats, or what did not end well of it."""
    retry_number: int = 0
    """Which of `options.auto_retry` this is; 0: somebody asked for it."""
    limits: FleetLimits | None = None
    """Of the fleet that it is a part of."""

    def kind_fields(self) -> dict[str, Any]:
        """What tells the kinds of request apart, as records and the runner name it. Each kind has every name."""
        return {"manifest": {"nodes": []}, "rollback_of": None, "restart_of": None, "expected": ()}


@dataclass(frozen=True, slots=True)
class InstallRequest(Request):
    """An install. `manifest` is JSON as accepted (None: the Auto-installer's list), every entry of it checked."""

    manifest: Mapping[str, Any] | None = None

    def kind_fields(self) -> dict[str, Any]:
        """The manifest."""
        return Request.kind_fields(self) | {"manifest": None if self.manifest is None else dict(self.manifest)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest(Request):
    """Undo the install that ran as `rollback_of`."""

    rollback_of: str

    def kind_fields(self) -> dict[str, Any]:
        """The install that is undone."""
        return Request.kind_fields(self) | {"rollback_of": self.rollback_of}


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequest(Request):
    """Restart ComfyUI, after the task `restart_of` if it follows one. `expected`: name and folder of the packs that the
    restarted ComfyUI is to have."""

    restart_of: str | None = None
    expected: tuple[tuple[str, str], ...] = ()

    def kind_fields(self) -> dict[str, Any]:
        """The task that is followed, and its packs."""
        return Request.kind_fields(self) | {"restart_of": self.restart_of or NO_TASK, "expected": self.expected}


def check_remote_path(text: str, field_name: str) -> str:
    """`text` as a plain absolute path (doubled, `.` and trailing slashes gone). Spaces, quotes and `$(…)` are legal.
    Raises InvalidRequest."""
    if not text.startswith("/"):
        raise InvalidRequest(f"{field_name} is not an absolute path; it must begin with '/'.", field=field_name)
    if len(text) > MAX_PATH:
        raise InvalidRequest(f"{field_name} is longer than {MAX_PATH} characters.", field=field_name)
    if ".." in text.split("/"):
        raise InvalidRequest(f"{field_name} has a '..' in it; write the path out.", field=field_name)
    if any(unicodedata.category(character) in _CONTROL for character in text):
        raise InvalidRequest(f"{field_name} has a line break or another control character in it.", field=field_name)
    return posixpath.normpath("/" + text.lstrip("/"))


def check_fingerprint(text: str, field_name: str) -> str:
    """`text` as ssh-keygen prints it, `SHA256:` before it. Raises InvalidRequest."""
    found = _FINGERPRINT.fullmatch(text)
    if not found:
        hint = "ssh-keygen -lf KEY prints it: SHA256: and 43 characters."
        raise InvalidRequest(f"{field_name} is not the SHA256 fingerprint of a host key.", hint=hint, field=field_name)
    return "SHA256:" + found.group(1)


def check_idempotency_key(text: str) -> str:
    """`text` if it is 1 to 200 printable characters. Raises InvalidRequest."""
    if not (1 <= len(text) <= MAX_KEY and text.isprintable()):
        message = f"idempotency_key is not 1 to {MAX_KEY} printable characters."
        raise InvalidRequest(message, field="idempotency_key")
    return text


def check_manifest(
    raw: Mapping[str, Any] | None, schemes: Collection[str], default_path: str
) -> Mapping[str, Any] | None:
    """`raw` if every entry of it can be installed; a `repo` is completed with `default_path` and a ref, another tool's
    file becomes a lock or a list.
    `schemes`: what git may fetch by. Raises InvalidManifest naming the field."""
    try:
        raw = _without_file(raw, schemes)
        form, value = manifests.split_source(raw)
        if form == "repo":
            return _checked_repo(value, schemes, default_path)
        _check_listed(form, value, schemes)
        if form == "nodes":
            read_told(raw or {}, "manifest")
        needs_in(raw, schemes)
    except manifests.ManifestFault as fault:
        error = InvalidManifest(fault.message, field=fault.field)
        error.wrong_entries = _wrong_entries(raw, schemes)
        raise error from None
    return raw


def _wrong_entries(raw: Mapping[str, Any] | None, schemes: Collection[str]) -> tuple[Mapping[str, str], ...]:
    """The entries of a list that are wrong by themselves, the first of them."""
    raw = raw or {}
    if isinstance(raw.get("csv"), str):
        wrong = manifests.wrong_rows(raw["csv"], schemes)
    elif "nodes" in raw:
        wrong = _wrong_of(raw["nodes"], lambda entry: manifests.parse_nodes([entry], schemes), "manifest.nodes")
    else:
        wrong = _wrong_of(raw.get("urls"), lambda entry: manifests.parse_urls([entry], schemes), "manifest.urls")
    try:
        first = list(itertools.islice(wrong, MAX_WRONG_ENTRIES))
    except manifests.ManifestFault:  # the text as a whole is no CSV
        return ()
    return tuple({"field": fault.field, "message": fault.message} for fault in first)


def _wrong_of(entries: Any, parse: Callable[[Any], object], field: str) -> Iterator[manifests.ManifestFault]:
    for index, entry in enumerate(entries[: manifests.MAX_NODES] if isinstance(entries, list) else ()):
        try:
            parse(entry)
        except manifests.ManifestFault as fault:
            yield manifests.ManifestFault(f"{field}[{index}]", fault.message)


def packs_of(manifest: Mapping[str, Any] | None, schemes: Collection[str]) -> list[manifests.NodePack] | None:
    """The packs of a manifest that `check_manifest` has passed; None where only the instance can read its list."""
    form, value = manifests.split_source(manifest)
    readers: Mapping[str, Callable[[], list[manifests.NodePack]]] = {
        "csv": lambda: manifests.parse_csv(value, schemes),
        "nodes": lambda: manifests.parse_nodes(value, schemes),
        "urls": lambda: manifests.parse_urls(value, schemes),
        "lock": lambda: list(read_lock(value, schemes).packs),
    }
    return readers[form]() if form in readers else None


def left_out_of(manifest: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """What a manifest that `check_manifest` has passed names and cannot be had: {name, version, reason} each."""
    manifest = manifest or {}
    entries = (manifest.get("lock") or manifest).get("left_out") or []
    return [{key: str(each.get(key, ""))[:300] for key in ("name", "version", "reason")} for each in entries]


def check_nothing_left_out(manifest: Mapping[str, Any] | None) -> None:
    """Raises InvalidManifest naming everything of a snapshot or lock that cannot be had."""
    left_out = left_out_of(manifest)
    if not left_out:
        return
    count = "1 entry" if len(left_out) == 1 else f"{len(left_out)} entries"
    text = f"This cannot be installed exactly: {count} cannot be had. {named(left_out, len(left_out))}"
    hint = "Without options.exact, Nodeferry installs everything else of it."
    raise InvalidManifest(text[:MAX_LEFT_OUT_CHARS], field="options.exact", hint=hint)


def other_file_in(raw: Mapping[str, Any] | None, schemes: Collection[str]) -> OtherFile | None:
    """The file of another tool in a manifest; None where it has none. Raises InvalidManifest naming the field."""
    try:
        return _other_file(raw, schemes)
    except manifests.ManifestFault as fault:
        raise InvalidManifest(fault.message, field=fault.field) from None


def without_other_file(raw: Mapping[str, Any] | None, schemes: Collection[str]) -> Mapping[str, Any] | None:
    """A manifest with another tool's file as the lock or list that it is. Raises InvalidManifest naming the field."""
    try:
        return _without_file(raw, schemes)
    except manifests.ManifestFault as fault:
        raise InvalidManifest(fault.message, field=fault.field) from None


def _other_file(raw: Mapping[str, Any] | None, schemes: Collection[str]) -> OtherFile | None:
    form = next((name for name in OTHER_FILES if name in (raw or {})), None)
    if raw is None or form is None:
        return None
    if len(raw) != 1:
        raise manifests.ManifestFault("manifest", f"A manifest with {form} has nothing else.")
    return read_file(raw[form], schemes, f"manifest.{form}")


def _without_file(raw: Mapping[str, Any] | None, schemes: Collection[str]) -> Mapping[str, Any] | None:
    """Another tool's file becomes a lock or a list: no form more for all that comes after."""
    found = _other_file(raw, schemes)
    return raw if found is None else found.to_install(f"manifest.{next(iter(raw or {}))}")


def _check_listed(form: str, value: Any, schemes: Collection[str]) -> None:
    if form == "csv":
        if not isinstance(value, str):
            raise manifests.ManifestFault("manifest.csv", "The CSV is not text.")
        manifests.parse_csv(value, schemes)
    elif form == "nodes":
        manifests.parse_nodes(value, schemes)
    elif form == "urls":
        manifests.parse_urls(value, schemes)
    elif form == "lock":
        read_lock(value, schemes)


def _checked_repo(raw: Mapping[str, Any], schemes: Collection[str], default_path: str) -> Mapping[str, Any]:
    """A repository that holds a CSV: the rules of a pack's `repo_url` and `ref`, and a path inside it. The address
    of the CSV's own page names all three."""
    repo, ref = raw["repo"], raw.get("ref")
    try:
        pack = manifests.parse_nodes([{"name": "repository", "repo_url": repo, "ref": ref}], schemes)[0]
    except manifests.ManifestFault as fault:
        name = "ref" if fault.field.endswith(".ref") else "repo"
        raise manifests.ManifestFault(f"manifest.{name}", fault.message) from None
    path = raw.get("path", list_in(repo) or default_path)
    manifests.check_path(str(path).removeprefix(TREE), "manifest.path", "The path of the CSV")
    return {"repo": pack.repo_url, "path": path, "ref": pack.ref}
