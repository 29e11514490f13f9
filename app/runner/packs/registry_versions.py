"""Asks ComfyUI's registry for a version of a pack, where the request does not bring the archive's address."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from typing import Any, Callable, List, Mapping, Optional, Tuple
from urllib.parse import quote, urlsplit

from app.protocol.manifest import NodePack
from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.packs.web_reader import WebReader

USUAL = "https://api.comfy.org"
_VARIABLE = "NODEFERRY_NODE_REGISTRY"
_CALL_SECONDS = 10.0
_ALL_SECONDS = 60.0
"""For all calls about one pack, waits included."""
_MOST_BYTES = 1024 * 1024
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,99}\Z")
_ADDRESS = re.compile(r"https?://[\x21-\x7e]{1,2000}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_REFUSED = {
    "Flagged": "flagged: the registry's own check found something",
    "Banned": "banned",
    "Deleted": "deleted",
    "Pending": "pending: the registry has not checked it yet",
}
_SOON_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Archive:
    """A version's archive. `sha256`: empty where the registry does not say."""

    version: str
    url: str
    sha256: str = ""


Found = Tuple[Optional[Archive], Optional[Problem]]


def find_archive(context: Context, pack: NodePack) -> Found:
    """The archive of a pack of the registry, or why there is none. Raises RunCancelled."""
    if pack.archive_url and pack.version:
        return Archive(pack.version, pack.archive_url, pack.archive_sha256), None
    given = context.request.get("registry_url")
    address = _address(os.environ.get(_VARIABLE, USUAL if given is None else given))  # the instance's own word counts
    if not address:
        text = "%s comes from ComfyUI's registry, which is switched off here."
        return None, Problem("registry_unreachable", text % pack.name, "Give the address of its repository instead.")
    try:
        archive, problem = _Asking(context, address).find(pack)
    except (OSError, ValueError) as exc:
        text = "ComfyUI's registry (%s) does not answer about %s: %.200s."
        hint = "Start again later, or give the address of its repository instead."
        return None, Problem("registry_unreachable", text % (urlsplit(address).hostname, pack.registry_id, exc), hint)
    if archive is not None and pack.archive_sha256:
        archive = Archive(archive.version, archive.url, pack.archive_sha256)
    return archive, problem


class _Asking:
    """What is asked about one pack. Every method raises OSError, ValueError, RunCancelled."""

    def __init__(self, context: Context, address: str) -> None:
        self._context, self._address = context, address
        self._ends = time.monotonic() + _ALL_SECONDS

    def find(self, pack: NodePack) -> Found:
        node = "/nodes/" + quote(pack.registry_id.lower(), safe="")
        wanted = "?version=" + quote(pack.version, safe="") if pack.version else ""
        said = self._get("%s/install%s" % (node, wanted))
        if said is None:
            return None, self._why_none(pack, node)
        problem = _refusal(pack, said.get("status"), said.get("status_reason"), said.get("version"))
        return (None, problem) if problem else (self._archive_in(said, pack), None)

    def _archive_in(self, said: Mapping[str, Any], pack: NodePack) -> Archive:
        version, url, sha256 = said.get("version"), said.get("downloadUrl"), said.get("sha256")
        if not (isinstance(version, str) and _VERSION.match(version)):
            raise ValueError("its answer has no version")
        if pack.version and _numbers(version) != _numbers(pack.version):
            raise ValueError("it was asked for %s, and answers with %s" % (pack.version, version))
        secure = isinstance(url, str) and (url.startswith("https:") or not self._address.startswith("https:"))
        if not (secure and _ADDRESS.match(str(url)) and _address(url)):
            raise ValueError("its answer has no address of an archive")
        return Archive(version, str(url), sha256 if isinstance(sha256, str) and _SHA256.match(sha256) else "")

    def _why_none(self, pack: NodePack, node: str) -> Problem:
        """Why the registry gives nothing: no such pack, no such version, or one that it withholds."""
        known = self._get(node)
        if known is None:
            text = "ComfyUI's registry has no pack %s."
            hint = "Correct its id in the list, or give the address of its repository."
            return Problem("registry_pack_not_found", text % pack.registry_id, hint)
        problem = _refusal(pack, known.get("status"), "", "")
        if problem is None and pack.version:
            version = self._get("%s/versions/%s" % (node, quote(pack.version, safe=""))) or {}
            problem = _refusal(pack, version.get("status"), version.get("status_reason"), pack.version)
        if problem is not None:
            return problem
        newest = (known.get("latest_version") or {}).get("version")
        text = "ComfyUI's registry has no version %s of %s." % (pack.version or "to install", pack.registry_id)
        hint = "Its newest one is %.60s: write %s for that." % (newest, pack.registry_id)
        return Problem(
            "registry_version_not_found", text, hint if newest else "Give the address of its repository instead."
        )

    def _get(self, path: str) -> Optional[Mapping[str, Any]]:
        """The object at a path; None where there is nothing. Tried again where the registry asks for it."""
        said = ""
        for seconds in self._context.limits.retry_delays:
            self._context.pause(min(seconds, max(0.0, self._left)))
            try:
                status, wait, raw = self._read(self._address + path)
            except OSError as exc:
                said = str(exc) or type(exc).__name__
                continue
            if status == 200:
                return _object_in(raw)
            if status not in _SOON_AGAIN:
                if 400 <= status < 500 and status not in (401, 403):
                    return None
                raise OSError("it answers with HTTP %d" % status)
            said = "it answers with HTTP %d" % status
            if wait > self._left:
                break
            self._context.pause(wait)
        raise OSError(said or "no time is left")

    @property
    def _left(self) -> float:
        return self._ends - time.monotonic()

    def _read(self, url: str) -> Tuple[int, float, bytes]:
        if self._left <= 0:
            raise TimeoutError("it takes too long")
        parts: List[bytes] = []
        with WebReader(url, self._watch(), min(_CALL_SECONDS, self._left)) as answer:
            for piece in answer.pieces:
                parts.append(piece)
                if sum(map(len, parts)) > _MOST_BYTES:
                    raise ValueError("its answer is too long")
        return answer.status, answer.wait_seconds, b"".join(parts)

    def _watch(self) -> Callable[[], None]:
        ends = time.monotonic() + _CALL_SECONDS

        def check() -> None:
            self._context.check_cancelled()
            if time.monotonic() > ends:
                raise TimeoutError("no answer within %d seconds" % _CALL_SECONDS)

        return check


def same_version(one: str, other: str) -> bool:
    """Whether two texts are one version, as ComfyUI-Manager compares them: 2.5 is 2.5.0."""
    return _numbers(one) == _numbers(other)


def _numbers(version: str) -> str:
    text = version.strip().lower().lstrip("v")
    head = re.match(r"\d+(?:\.\d+)*", text)
    if head is None:
        return text
    numbers = [str(int(part)) for part in head.group(0).split(".")]
    return ".".join([*numbers, "0", "0"][: max(3, len(numbers))]) + text[head.end() :].partition("+")[0]


def _refusal(pack: NodePack, status: object, reason: object, version: object) -> Optional[Problem]:
    word = status.replace("NodeVersionStatus", "").replace("NodeStatus", "") if isinstance(status, str) else ""
    if word not in _REFUSED:
        return None
    said = " ".join(reason.split())[:200] if isinstance(reason, str) else ""
    said = "".join(character for character in said if character.isprintable())
    what = "%s %s" % (pack.registry_id, version) if isinstance(version, str) and version else pack.registry_id
    text = "ComfyUI's registry withholds %s. It is %s%s." % (what, _REFUSED[word], " (%s)" % said if said else "")
    return Problem("registry_version_refused", text, "Ask for another version, or look for another pack.")


def _object_in(raw: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(raw)
    except RecursionError:
        raise ValueError("its answer nests too deep") from None
    if not isinstance(said, Mapping):
        raise ValueError("its answer is no object")
    return said


def _address(given: object) -> str:
    """The address, if it is one of the web; else empty."""
    text = given
    try:
        is_web = isinstance(text, str) and urlsplit(text).scheme in ("http", "https") and urlsplit(text).hostname
    except ValueError:
        return ""
    return str(text).rstrip("/") if is_web else ""
