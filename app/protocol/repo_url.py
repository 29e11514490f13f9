"""Repository addresses: which ones git may be given. `repo_identity` says when two of them name the same repository."""

from __future__ import annotations

import re
from typing import Collection, Tuple
from urllib.parse import urlsplit

MAX_URL_CHARS = 1000
_SCP_LIKE = re.compile(r"^(?:(?P<user>[A-Za-z0-9._-]+)@)(?P<host>[A-Za-z0-9.-]+):(?P<path>(?!/)[^:]+)\Z")
_PLAIN = re.compile(r"^[\x21-\x7e]+\Z")
_CODED_CONTROL = re.compile(r"%(?:[01][0-9a-f]|7f)", re.IGNORECASE)


class BadRepoUrl(ValueError):
    """The address may not be given to git."""


def check_repo_url(url: object, schemes: Collection[str]) -> str:
    """`url` if git may fetch from it: one of `schemes`, a host, a path, no password and nothing that git would run.
    Raises BadRepoUrl with one sentence."""
    if not isinstance(url, str) or not url.strip():
        raise BadRepoUrl("A repository URL is missing.")
    url = url.strip()
    if (
        len(url) > MAX_URL_CHARS
        or not _PLAIN.match(url)
        or url.startswith("-")
        or "\\" in url
        or _CODED_CONTROL.search(url)
    ):
        raise BadRepoUrl("The repository URL %.80r has characters or a length that no repository has." % url)
    scheme, host, path = _parts(url)
    if scheme not in schemes:
        raise BadRepoUrl(
            "The repository URL %.80r is not of a scheme that is allowed (%s)." % (url, ", ".join(schemes))
        )
    if not host or host.startswith("-") or not path.strip("/"):
        raise BadRepoUrl("The repository URL %.80r lacks a host or a path." % url)
    return url


def _parts(url: str) -> Tuple[str, str, str]:
    """Scheme, host and path; `git@host:path` counts as ssh."""
    scp = _SCP_LIKE.match(url)
    if scp:
        return "ssh", scp.group("host"), scp.group("path")
    if "::" in url.split("/", maxsplit=1)[0]:
        raise BadRepoUrl("The repository URL %.80r names a git transport helper, which is not allowed." % url)
    try:
        url_parts = urlsplit(url)
        host, _port = url_parts.hostname or "", url_parts.port
    except ValueError:
        raise BadRepoUrl("The repository URL %.80r cannot be understood." % url) from None
    if url_parts.password or (url_parts.username and url_parts.scheme != "ssh"):
        raise BadRepoUrl(
            "A repository URL may not carry a user name or password; set up git's credentials on the instance."
        )
    return url_parts.scheme, host, url_parts.path


def repo_name(url: str) -> str:
    """The repository's name: the last part of its path, without `.git`."""
    last = re.split(r"[/:]", url.rstrip("/"))[-1]
    return last.removesuffix(".git")
