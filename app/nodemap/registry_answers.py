"""What ComfyUI's registry says of a node pack and of its versions, read with distrust: it is a service of others, and
anybody may publish there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from app.protocol.pasted_address import read_address
from app.protocol.repo_url import BadRepoUrl

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_ROWS = 200
"""Of one answer with a list; more are not looked at."""
_LONGEST = 200
_LONGEST_REASON = 300
_LONGEST_URL = 2000
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MOST_STARS = 10**9


class Status(StrEnum):
    """Whether the registry gives a version away."""

    ACTIVE = "active"
    DELETED = "deleted"
    BANNED = "banned"
    PENDING = "pending"
    FLAGGED = "flagged"
    UNKNOWN = "unknown"


REFUSED = frozenset({Status.BANNED, Status.DELETED, Status.FLAGGED, Status.PENDING})


@dataclass(frozen=True)
class RegistryVersion:
    """One version of a pack. `reason`: what the registry says of its status; `archive_url`: None where it has none that
    may be fetched."""

    version: str
    status: Status
    reason: str
    deprecated: bool
    archive_url: str | None
    sha256: str | None = None


@dataclass(frozen=True)
class RegistryNode:
    """A pack. `node_id` is spelled as the registry does; `newest` is the newest version that it names."""

    node_id: str
    title: str | None
    repo_url: str | None
    stars: int | None
    last_update: str | None
    status: Status
    newest: RegistryVersion | None


def read_node(raw: Any, registry_url: str) -> RegistryNode:
    """A pack out of its JSON. `registry_url`: where it comes from. Raises ValueError for what is none."""
    if not isinstance(raw, Mapping):
        raise ValueError("its answer is no node pack")
    node_id = raw.get("id")
    if not isinstance(node_id, str) or not ID.fullmatch(node_id):
        raise ValueError("its answer has no id of a node pack")
    newest = raw.get("latest_version")
    try:
        version = read_version(newest, registry_url) if newest else None
    except ValueError:
        version = None
    stars = raw.get("github_stars")
    return RegistryNode(
        node_id,
        _text(raw.get("name")) or None,
        _repository(raw.get("repository")),
        stars if isinstance(stars, int) and not isinstance(stars, bool) and 0 <= stars < _MOST_STARS else None,
        _day(newest.get("createdAt")) if isinstance(newest, Mapping) else None,
        _status(raw.get("status")),
        version,
    )


def read_version(raw: Any, registry_url: str) -> RegistryVersion:
    """A version out of its JSON. Raises ValueError for what is none."""
    if not isinstance(raw, Mapping):
        raise ValueError("its answer is no version of a node pack")
    version = raw.get("version")
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise ValueError("its answer has no version")
    url, sha256 = raw.get("downloadUrl"), raw.get("sha256")
    return RegistryVersion(
        version,
        _status(raw.get("status")),
        _text(raw.get("status_reason"), _LONGEST_REASON),
        raw.get("deprecated") is True,
        url if isinstance(url, str) and may_be_fetched(url, registry_url) else None,
        sha256 if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else None,
    )


def read_packs_of_class(raw: Any, class_name: str) -> tuple[int, frozenset[str]]:
    """How many entries of `GET /comfy-nodes` are of exactly this class, and the ids of packs that they name, which is
    often none. Raises ValueError."""
    rows = raw.get("comfy_nodes") if isinstance(raw, Mapping) else None
    if rows is not None and not isinstance(rows, list):
        raise ValueError("its answer is no list of classes")
    found = [
        row for row in (rows or [])[:MAX_ROWS] if isinstance(row, Mapping) and row.get("comfy_node_name") == class_name
    ]
    ids = (row.get("node_id") for row in found)
    return len(found), frozenset(each.lower() for each in ids if isinstance(each, str) and ID.fullmatch(each))


def read_nodes(raw: Any, registry_url: str) -> list[RegistryNode]:
    """The packs of a search; what is none is left out. Raises ValueError."""
    rows = raw.get("nodes") if isinstance(raw, Mapping) else None
    if not isinstance(rows, list):
        raise ValueError("its answer is no list of node packs")
    found = []
    for row in rows[:MAX_ROWS]:
        try:
            found.append(read_node(row, registry_url))
        except ValueError:
            continue
    return found


def may_be_fetched(url: str, registry_url: str) -> bool:
    """Whether an archive may come from there: by https, or from a registry on this machine itself."""
    if not 0 < len(url) <= _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts, home = urlsplit(url), urlsplit(registry_url)
        _ = parts.port  # one that is none is found only now
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None:
        return False
    return parts.scheme == "https" or (
        parts.scheme == home.scheme == "http" and {parts.hostname, home.hostname} <= _LOOPBACK
    )


def _status(raw: Any) -> Status:
    """`NodeVersionStatusFlagged` and `NodeStatusBanned` in a word."""
    word = raw.removeprefix("NodeVersionStatus").removeprefix("NodeStatus").lower() if isinstance(raw, str) else ""
    return Status(word) if word in list(Status) else Status.UNKNOWN


def _repository(raw: Any) -> str | None:
    """What a publisher has written down as the repository, where it can be cloned."""
    try:
        return read_address(raw, ("https",)).url if isinstance(raw, str) and len(raw) <= _LONGEST_URL else None
    except BadRepoUrl:
        return None


def _text(raw: Any, most: int = _LONGEST) -> str:
    """A text on one line, short."""
    text = " ".join(raw[: 4 * most].split()) if isinstance(raw, str) else ""
    return "".join(character for character in text if character.isprintable())[:most]


def _day(raw: Any) -> str | None:
    found = re.match(r"\d{4}-\d{2}-\d{2}", raw) if isinstance(raw, str) else None
    return found.group(0) if found else None
