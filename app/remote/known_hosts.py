"""Reads OpenSSH's known_hosts files. A line that cannot be understood is skipped.

The format is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". Nothing is ever written there.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.domain.hostkeys import HostKey, fingerprint_of
from app.small_files import KNOWN_HOSTS_BYTES, UnusableFile, read_small

DEFAULT_PORT = 22


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """The keys that the files have for one address."""

    keys: list[HostKey] = field(default_factory=list)
    revoked: frozenset[str] = frozenset()
    """base64 texts of keys marked `@revoked` for it."""


def name_of(host: str, port: int) -> str:
    """What the files call this address: the port only where it is not the usual one, and then the host in brackets."""
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"


def look_up(paths: Iterable[Path], host: str, port: int, alias: str | None = None) -> KnownKeys:
    """Finds the keys of `host` and `port`, or of the name `alias`, in all `paths`. A missing or unreadable file has
    none. Raises UnusableFile for one that is too large or a pipe: a key that it marks as revoked must not count."""
    name = alias.lower() if alias else name_of(host.lower(), port)
    keys: list[HostKey] = []
    revoked: set[str] = set()
    for path in paths:
        for marker, patterns, key_type, key_base64 in _entries(path):
            if not _names(patterns, name):
                continue
            if marker == "@revoked":
                revoked.add(key_base64)
            elif not marker:
                sha256 = fingerprint_of(key_base64)
                keys.append(HostKey(host, port, key_type, key_base64, sha256, source=str(path)))
    return KnownKeys(keys, frozenset(revoked))


def _entries(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yields marker (or empty), host patterns, key type and key of each well-formed line."""
    try:
        text = read_small(path, KNOWN_HOSTS_BYTES).decode("utf-8", errors="replace")
    except UnusableFile:
        if path.is_dir():  # nothing can be marked in it
            return
        raise
    except OSError:
        return
    for line in text.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) >= 3 and not words[0].startswith("#") and _is_key(words[1], words[2]):
            yield marker, words[0], words[1], words[2]


def _is_key(key_type: str, key_base64: str) -> bool:
    """Whether the base64 text decodes to a key of this type."""
    try:
        blob = base64.b64decode(key_base64, validate=True)
    except ValueError:  # not ASCII, or not base64
        return False
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length] == key_type.encode("utf-8") and len(blob) > 4 + length


def _names(patterns: str, name: str) -> bool:
    """Whether a list of patterns, or a hashed name, matches `name` (`host` or `[host]:port`)."""
    if patterns.startswith("|"):  # `|1|salt|HMAC-SHA1 of the name`, both in base64
        try:
            _, kind, salt, digest = patterns.split("|")
            expected = hmac.new(base64.b64decode(salt), name.encode("utf-8"), hashlib.sha1).digest()
            return kind == "1" and hmac.compare_digest(base64.b64decode(digest), expected)
        except ValueError:
            return False
    matched = False
    for pattern in patterns.lower().split(","):
        glob = pattern.removeprefix("!").replace("[", "[[]")  # only * and ? are wildcards there
        if fnmatch.fnmatchcase(name, glob):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched
