"""A pack of ComfyUI's registry as people write it: `comfyui-impact-pack@8.1.0`, or its id alone for the newest version.

Only what can be nothing else is taken for one: never an address, `owner/name`, a host, a file, a commit or the login of
a machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from app.protocol.pasted_text import MAX_CHARS, one_line
from app.protocol.repo_url import BadRepoUrl

NIGHTLY = "nightly"
"""ComfyUI-Manager's word for the repository itself in place of a version."""
_NEWEST = ("latest",)
_ID = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_VERSION = re.compile(r"v?\d[0-9A-Za-z.+_-]{0,98}\Z", re.IGNORECASE)
_NUMBERS_OF_AN_IP = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}\Z")
_HOST_OR_FILE = re.compile(r".*\.[A-Za-z]{2,12}\Z")
_COMMAND = re.compile(
    r"(?:uvx? )?comfy(?:-cli)? node (?:registry-)?install ([^\s-][^\s]*)(?: --version[ =]([^\s@]+))?\Z"
)
_PAGE = re.compile(r"https://registry\.comfy\.org/(?:[a-z]{2}/)?(?:publishers/[^/\s]+/)?nodes/([^/?#\s@]+)/?\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z", re.IGNORECASE)


@dataclass(frozen=True)
class RegistryRef:
    """`version`: empty for the newest; `nightly` for the repository."""

    registry_id: str
    version: str = ""

    def __str__(self) -> str:
        return "%s@%s" % (self.registry_id, self.version) if self.version else self.registry_id


def read_registry_ref(text: object) -> Optional[RegistryRef]:
    """What a text names in the registry; None for everything else."""
    name, at, version = _line(text).partition("@")
    if not _ID.match(name) or _COMMIT.match(name):
        return None
    if not at:
        return None if _HOST_OR_FILE.match(name) else RegistryRef(name)
    if version.lower() in _NEWEST:
        return RegistryRef(name)
    if version.lower() == NIGHTLY:
        return RegistryRef(name, NIGHTLY)
    if not _VERSION.match(version) or _NUMBERS_OF_AN_IP.match(version):
        return None
    return RegistryRef(name, version)


def _line(text: object) -> str:
    """What is written, without bullets, quotes and comfy-cli's command around it; empty for what is no line."""
    if not isinstance(text, str) or len(text) > MAX_CHARS:
        return ""
    try:
        line = one_line(text)
    except BadRepoUrl:
        return ""
    found = _COMMAND.match(line) or _PAGE.match(line)
    return "@".join(filter(None, found.groups())) if found else line
