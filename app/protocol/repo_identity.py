"""Which repository an address names, as far as its text says: whether two addresses are of the same one.

Only git knows what a text does not say (`app/runner/packs/same_repository.py`): a repository that was renamed answers
at its old name too, and a machine's own configuration (`url.….insteadOf`) may lead to a mirror.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import List, Optional, Tuple
from urllib.parse import unquote, urlsplit

_MAX_CHARS = 2000
_MOST_PREFIXES = 4
_SCP_LIKE = re.compile(r"^(?:[^@/:\s]+@)?(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):(?P<path>(?!//).+)\Z")
_SCHEME = re.compile(r"^(?:git\+)?(?P<scheme>[A-Za-z][A-Za-z0-9.-]*)(?:\+git)?://", re.IGNORECASE)
_INNER = re.compile(r"/+(?P<scheme>https?|git|ssh):/{1,2}(?=[^/])", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443, "ssh": 22, "git": 9418}
_HOST = re.compile(r"^[a-z0-9-]+(\.[a-z0-9-]+)+\Z")

_OTHER_NAMES = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
    "ssh.dev.azure.com": "dev.azure.com",
    "ssh.codeberg.org": "codeberg.org",
    "hf.co": "huggingface.co",
    "kkgithub.com": "github.com",
    "bgithub.xyz": "github.com",
    "githubfast.com": "github.com",
    "github.com.cnpmjs.org": "github.com",
    "hub.fastgit.org": "github.com",
    "hub.fastgit.xyz": "github.com",
    "hub.nuaa.cf": "github.com",
}
"""Hosts that serve another host's repositories under the same paths."""

_OWNER_AND_NAME = frozenset({"github.com", "bitbucket.org", "codeberg.org", "gitee.com", "gitea.com", "gitcode.com"})
"""Forges whose repositories are always `owner/name`: what follows in an address is a page of the repository."""

_FORGES = _OWNER_AND_NAME | {"gitlab.com", "huggingface.co", "git.sr.ht"}


@dataclass(frozen=True)
class Identity:
    """What tells repositories apart. `host` is empty for a path on this machine, `port` None for a usual one; `path`
    has neither slashes at its ends nor `.git`."""

    host: str
    port: Optional[int]
    path: str

    @property
    def owner(self) -> str:
        """All of the path but its last part."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def is_known_forge(self) -> bool:
        """Whether it is on a public host that serves the same by https as by ssh."""
        return self.host in _FORGES and self.port is None


def same_repo(one: str, other: str) -> bool:
    """Whether the texts of two addresses name the same repository: whatever the scheme, user, usual port, `www.`, case,
    `.git`, and whether it is fetched through a proxy. False where an address says nothing."""
    first = identity(one)
    return first is not None and first == identity(other)


@lru_cache(maxsize=8192)
def identity(url: str) -> Optional[Identity]:
    """The repository of an address; None for a text that is none. Takes any text, raises nothing."""
    url = url.strip()
    if not url or len(url) > _MAX_CHARS:
        return None
    try:
        host, port, path = _parts(_without_proxy(url))
        return _normal(host, port, path)
    except ValueError:
        return None


def without_login(url: str) -> str:
    """The address without a user's name and password, also in one behind a proxy's; of ssh the name stays, since it
    says which account is meant. Any other text as it is."""
    url = re.sub(r"(https?:/{1,2})[^/?#\s]*@", r"\1", url, flags=re.IGNORECASE)
    return re.sub(r"^((?:git\+)?ssh://[^/?#@:\s]*):[^/?#@\s]*@", r"\1@", url, flags=re.IGNORECASE)


def public_address(url: str) -> str:
    """Where anybody can ask about a repository: without a login, and by https where a public forge is named by ssh."""
    known = identity(url)
    if known is not None and known.is_known_forge and not re.match(r"^https?://", url.strip(), re.IGNORECASE):
        return "https://%s/%s" % (known.host, known.path)
    return without_login(url.strip())


def _without_proxy(url: str) -> str:
    """The address behind the prefixes of download proxies: `https://proxy/https://github.com/o/r`, also without the
    inner scheme, with one slash after it, and through two of them."""
    for _ in range(_MOST_PREFIXES):
        found = _SCHEME.match(url)
        if found is None:
            return url
        host_end = url.find("/", found.end())
        if host_end < 0 or url[found.end() : host_end].rpartition("@")[2].lower() in _FORGES:
            return url
        rest = url[host_end:]
        inner = _INNER.match(rest) or _INNER.search(rest.partition("?")[0])
        if inner:
            url = "%s://%s" % (inner.group("scheme"), rest[inner.end() :])
            continue
        first, _, behind = rest.lstrip("/").partition("/")
        if behind and first.lower() in _FORGES | _OTHER_NAMES.keys():
            url = "https://%s/%s" % (first, behind)
            continue
        return url
    return url


def _parts(url: str) -> Tuple[str, Optional[int], str]:
    """Host, port if it is not the usual one, and path. Raises ValueError."""
    found = _SCHEME.match(url)
    if found is None:
        return _parts_without_scheme(url)
    scheme = found.group("scheme").lower()
    parts = urlsplit(url[url.index("://") + 1 :], scheme=scheme)
    if scheme == "file":
        return "", None, parts.path
    host = parts.hostname or ""
    if not host:
        raise ValueError("no host")
    port = parts.port
    if host.lower() in _OTHER_NAMES and port == 443:
        port = None
    return host, None if port == _PORTS.get(scheme) else port, parts.path


def _parts_without_scheme(url: str) -> Tuple[str, Optional[int], str]:
    """`git@host:path`, `host/path` of a host with a dot, or a path on this machine."""
    if url.startswith(("/", "./", "../", "~")):
        return "", None, url
    scp = _SCP_LIKE.match(url)
    if scp:
        port = re.match(r"^(22|443)/", scp.group("path"))  # `host:22/o/r`: a port that somebody wrote
        return scp.group("host"), None, scp.group("path")[port.end() :] if port else scp.group("path")
    host, _, path = url.partition("/")
    if path and _HOST.match(host.lower()):
        return host, None, path.partition("?")[0].partition("#")[0]
    return "", None, url


def _normal(host: str, port: Optional[int], path: str) -> Identity:
    if not host:
        return Identity("", None, posixpath.normpath(path).removesuffix("/.git").removesuffix(".git"))
    host = host.lower().strip("[]").rstrip(".").removeprefix("www.")
    host = _OTHER_NAMES.get(host, host)
    parts = _repository_of(host, posixpath.normpath("/" + unquote(path).strip()).strip("/").lower().split("/"))
    path = "/".join(parts).strip("/")
    while path.endswith((".git", "/")):
        path = path.removesuffix(".git").rstrip("/")
    if not path:
        raise ValueError("no path")
    return Identity(host, port, path)


def _repository_of(host: str, parts: List[str]) -> List[str]:
    """The parts of a path that name the repository, without those of a page of it."""
    if host in _OWNER_AND_NAME:
        return parts[:2]
    if "-" in parts:  # GitLab's
        return parts[: parts.index("-")]
    if host == "huggingface.co":
        return parts[: 3 if parts[0] in ("spaces", "datasets") else 2]
    if host == "gist.github.com":
        return parts[-1:]
    if host == "dev.azure.com":
        return [part for part in parts if part not in ("_git", "v3")]
    return parts
