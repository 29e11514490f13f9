"""Where a package came from that is not from an index, as a lock names it: the address that a requirement line takes.

`git+https://host/owner/name@COMMIT#subdirectory=part`, or `https://host/name-1.0-py3-none-any.whl#sha256=…`. Source of
the format: PEP 508 and PEP 610.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, NamedTuple, Optional
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from app.protocol.redaction import masked

MAX_CHARS = 1000
_PLAIN = re.compile(r"^[\x21-\x7e]+\Z")
_SECRET_FIELD = re.compile(r"token|key|secret|sig|auth|pass|credential", re.IGNORECASE)
_COMMIT = re.compile(r"^[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_HASHES = ("sha256", "sha384", "sha512")


class Source(NamedTuple):
    """An address, and whether a login or token was left out of it."""

    address: str
    had_secret: bool = False


def source_of(direct_url: Mapping[str, Any]) -> Optional[Source]:
    """The address of what PEP 610 says of a package; None where another machine could not fetch it."""
    vcs, archive = direct_url.get("vcs_info"), direct_url.get("archive_info")
    url, had_secret = _without_secret(str(direct_url.get("url") or ""))
    if isinstance(vcs, Mapping):
        commit = str(vcs.get("commit_id") or "")
        found = "git+%s@%s" % (url, commit) if vcs.get("vcs") == "git" and _COMMIT.match(commit) else ""
        fragment = []
    else:
        found, fragment = url, ["%s=%s" % item for item in sorted(_hashes(archive).items())][:1]
    if direct_url.get("subdirectory"):
        fragment.append("subdirectory=%s" % direct_url["subdirectory"])
    address = "#".join([found, "&".join(fragment)] if fragment else [found])
    usable = is_source(address) and masked(address) == address
    return Source(address, had_secret) if usable else None


def is_source(address: object) -> bool:
    """Whether a lock may name this address: http(s) or ssh, with a host and a path, without a password, and of git only
    a commit."""
    if not isinstance(address, str) or len(address) > MAX_CHARS or not _PLAIN.match(address):
        return False
    if "${" in address or "\\" in address:  # uv replaces the one by what its environment has
        return False
    is_git = address.startswith("git+")
    try:
        parts = urlsplit(address[len("git+") :] if is_git else address)
    except ValueError:
        return False
    is_commit = bool(_COMMIT.match(parts.path.rpartition("@")[2]))
    fetches = is_commit and parts.scheme in ("https", "http", "ssh") if is_git else parts.scheme in ("https", "http")
    user = parts.username if parts.scheme != "ssh" else None
    return bool(fetches and parts.hostname and parts.path.strip("/") and not parts.password and not user)


def same_source(one: Optional[str], other: Optional[str]) -> bool:
    """Whether two addresses bring the same: the same commit, or the same file by its hash, else by its place. None is
    an index."""
    if one is None or other is None or one == other:
        return one == other
    first, second = _parts(one), _parts(other)
    if first["inner"] != second["inner"]:
        return False
    if first["commit"] or second["commit"]:
        return first["commit"] == second["commit"]
    if first["hash"] and second["hash"]:
        return first["hash"] == second["hash"]
    return first["place"] == second["place"]


def _parts(address: str) -> Dict[str, str]:
    place, _, fragment = address.partition("#")
    fields = dict(parse_qsl(fragment))
    commit = place.rpartition("@")[2] if place.startswith("git+") else ""
    known = next(("%s=%s" % (name, fields[name]) for name in _HASHES if fields.get(name)), "")
    return {"place": place, "commit": commit, "hash": known, "inner": fields.get("subdirectory", "").strip("/")}


def _hashes(archive: Any) -> Dict[str, str]:
    """The hashes that a fragment may have."""
    if not isinstance(archive, Mapping):
        return {}
    name, _, value = str(archive.get("hash") or "").partition("=")
    known = archive.get("hashes") if isinstance(archive.get("hashes"), Mapping) else {name: value}
    assert isinstance(known, Mapping)
    return {name: str(known[name]) for name in _HASHES if re.match(r"^[0-9a-f]{64,128}$", str(known.get(name) or ""))}


def _without_secret(url: str) -> Source:
    """Without a user and password, and without a query that holds a token. The user of an ssh address is no secret."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        user = parts.username if parts.scheme == "ssh" else None
    except ValueError:
        return Source("")
    netloc = "%s@%s" % (user, host) if user else host
    query = "" if any(_SECRET_FIELD.search(name) for name, _ in parse_qsl(parts.query)) else parts.query
    had_secret = bool(parts.password or (parts.username and not user)) or query != parts.query
    return Source(urlunsplit((parts.scheme, netloc, parts.path, query, "")), had_secret)


def without_login(url: str) -> str:
    """An index's address as a lock may name it."""
    return _without_secret(url).address
