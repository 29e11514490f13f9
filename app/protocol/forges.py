"""The pages of git's web sites: which repository a path names, and what of it. Which pages are no repository's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Mapping, Optional, Sequence, Tuple

from app.protocol import refs
from app.protocol.forge_pages import (
    ALIASES,
    ARCHIVES,
    FORGES,
    INSTEAD,
    MODEL_FILES,
    NO_REPOSITORY,
    ONLY_FILES,
    UNKNOWN,
    Forge,
    Kind,
)
from app.protocol.repo_url import BadRepoUrl

_MARKERS = frozenset({"tree", "blob", "blame", "commit", "commits", "releases", "archive", "zipball", "tarball"})
_NUMBERED = frozenset({"pull", "pulls", "issues", "merge_requests", "discussions", "pull-requests"})


@dataclass(frozen=True)
class Page:
    """What a path names. `repo`: its parts that are the repository's; `ref`: None for the default branch."""

    host: str
    repo: Tuple[str, ...]
    ref: Optional[str] = None


def is_forge(host: str) -> bool:
    """Whether a host is one of the well-known sites, which serve https and redirect to it."""
    return ALIASES.get(host, host) in FORGES


def read_page(host: str, parts: Sequence[str], query: Mapping[str, str]) -> Page:
    """The repository of an address. Raises BadRepoUrl for a page that is no repository's, with what to paste."""
    host = ALIASES.get(host, host)
    _refuse_known(host, parts)
    if not parts and host not in FORGES:
        raise BadRepoUrl("The repository URL lacks a path: %.80r is only a machine's name." % host)
    if host in ARCHIVES:
        return _download(host, parts)
    forge = FORGES.get(host)
    if forge is not None:
        return _of_forge(forge, host, parts, query)
    return _of_any(host, parts, query)


def _of_forge(forge: Forge, host: str, parts: Sequence[str], query: Mapping[str, str]) -> Page:
    """A path on a well-known site."""
    first = parts[0].lower() if parts else ""
    if not parts or first in forge.own:
        raise _not_one(forge.own.get(first, "the front page of %s" % host), "https://%s/OWNER/NAME" % host)
    size = 3 if first in forge.longer else 2
    if len(parts) < size:
        message = "This is the page of an owner (%.60s), not a repository. Paste the address of one of its repositories"
        raise BadRepoUrl("%s, https://%s/%.60s/NAME." % (message % parts[-1], host, "/".join(parts)))
    if forge.nested:
        return _of_any(host, parts, query, forge)
    return _with_page(forge, host, parts[:size], parts[size:], query)


def _of_any(host: str, parts: Sequence[str], query: Mapping[str, str], forge: Forge = UNKNOWN) -> Page:
    """A path whose repository may have any depth: the first part that only pages have ends it."""
    for index, part in enumerate(parts):
        after = parts[index + 1] if index + 1 < len(parts) else ""
        if part == "-" and index >= 1:
            return _with_page(FORGES["gitlab.com"], host, parts[:index], parts[index + 1 :], query)
        if part.endswith(".git") and len(part) > 4 and after and after != "-":
            return _with_page(forge, host, parts[: index + 1], parts[index + 1 :], query)
        if index >= 2 and (
            (part in _MARKERS and (after or part == "releases"))
            or (part == "src" and after in ("branch", "tag", "commit"))
            or (part in _NUMBERED and after.isdigit() and after.isascii())
        ):
            return _with_page(forge, host, parts[:index], parts[index:], query)
    if host not in FORGES:
        _refuse_files(parts)
    return Page(host, tuple(parts), _of_query(forge, query))


def _with_page(forge: Forge, host: str, repo: Sequence[str], page: Sequence[str], query: Mapping[str, str]) -> Page:
    """What the page behind a repository's address says of it."""
    own = "https://%s/%s" % (host, "/".join(repo))
    if repo[-1].removesuffix(".git").endswith(".wiki"):
        raise _not_one("a wiki", own.removesuffix(".git").removesuffix(".wiki"))
    if host not in FORGES:
        _refuse_files(repo)
    elif len(repo) < 2:
        raise _not_one("no page that Nodeferry knows", "https://%s/OWNER/NAME" % host)
    if not page:
        return Page(host, tuple(repo), _of_query(forge, query))
    size = max((count for count in (1, 2) if tuple(page[:count]) in forge.pages), default=0)
    known = forge.pages.get(tuple(page[:size]), "a page about a repository that names no version of it")
    if isinstance(known, str):
        raise _not_one(known, own)
    if known is Kind.FILE and page[-1].lower().endswith(MODEL_FILES):
        raise _not_one("a model's file, which belongs into ComfyUI's models folder", "https://github.com/OWNER/NAME")
    try:
        ref = _ref(known, page[size:])
    except ValueError:
        message = "The address names no branch, tag or commit that git could have (%.80r)." % "/".join(page)
        raise BadRepoUrl("%s Paste the repository's own address, %.200s." % (message, own)) from None
    return Page(host, tuple(repo), ref or _of_query(forge, query))


def _of_query(forge: Forge, query: Mapping[str, str]) -> Optional[str]:
    """The ref that some sites put behind the question mark."""
    for key, prefixes in forge.queries.items():
        value = query.get(key, "")
        for prefix in prefixes:
            if value.startswith(prefix) and refs.is_ref(value[len(prefix) :]):
                return refs.of_name(value[len(prefix) :])
    return None


def _ref(kind: Kind, rest: Sequence[str]) -> Optional[str]:
    """The ref that a page of this kind names, `rest` behind its own words. Raises ValueError."""
    if not rest and kind in (Kind.REPOSITORY, Kind.LIST, Kind.TREE):
        return None
    if not rest or kind is Kind.REPOSITORY:
        raise ValueError("too little, or too much")
    return _READERS[kind](rest)


def _commit(rest: Sequence[str]) -> str:
    """A commit, also as the address of its patch."""
    name = rest[0].lower().partition(".")[0]
    if not refs.is_hash(name):
        raise ValueError("no commit")
    return name


def _pull(kind: Kind, rest: Sequence[str]) -> str:
    """A pull request, or one commit of it."""
    number = rest[0].rpartition(".")[0] if rest[0].endswith((".diff", ".patch")) else rest[0]
    if not (number.isascii() and number.isdigit() and len(number) < 10) or number.startswith("0"):
        raise ValueError("no number")
    if rest[1:2] in (["commits"], ["changes"], ["files"]) and len(rest) > 2 and refs.is_hash(rest[2].lower()):
        return rest[2].lower()
    return ("refs/pull/%s/head" if kind is Kind.PULL else "refs/merge-requests/%s/head") % number


_READERS: Mapping[Kind, Callable[[Sequence[str]], Optional[str]]] = {
    Kind.TREE: refs.of_tree,
    Kind.FILE: lambda rest: refs.of_tree(rest, is_file=True),
    Kind.COMMIT: _commit,
    Kind.NAME: lambda rest: refs.of_name("/".join(rest)),
    Kind.LIST: lambda rest: refs.of_name("/".join(rest)),
    Kind.ARCHIVE: lambda rest: refs.of_archive("/".join(rest)),
    Kind.FOLDERS: lambda rest: refs.of_name("/".join(rest[:-1]) or rest[0]),
    Kind.PULL: lambda rest: _pull(Kind.PULL, rest),
    Kind.MERGE: lambda rest: _pull(Kind.MERGE, rest),
}


def _download(host: str, parts: Sequence[str]) -> Page:
    """`codeload.github.com/OWNER/NAME/zip/refs/heads/main`, `api.github.com/repos/OWNER/NAME/zipball/main`."""
    rest = list(parts[1:] if host == "api.github.com" else parts)
    if (host == "api.github.com" and parts[:1] != ["repos"]) or len(rest) < 2:
        raise _not_one("an address for programs", "https://github.com/OWNER/NAME")
    page: List[str] = rest[2:]
    if page and page[0].lower() in ARCHIVES[host]:
        page[0] = "archive"
    return _with_page(FORGES["github.com"], "github.com", rest[:2], page, {})


def _refuse_known(host: str, parts: Sequence[str]) -> None:
    """Raises BadRepoUrl for the hosts that have no repository for git."""
    what = NO_REPOSITORY.get(host) or NO_REPOSITORY.get(host.partition(".")[2])
    if what is None:
        return
    if host == "gist.github.com" and len(parts) in (1, 2) and parts[-1].endswith(".git"):
        return
    instead = "https://github.com/OWNER/NAME"
    if host == "raw.githubusercontent.com" and len(parts) > 2:
        instead = "https://github.com/%s/%s" % tuple(parts[:2])
    raise _not_one(what, instead)


def _refuse_files(parts: Sequence[str]) -> None:
    """Raises BadRepoUrl for what is a file by its ending."""
    for ending, what in ONLY_FILES.items():
        if parts[-1].lower().endswith(ending):
            raise _not_one(what, "https://github.com/OWNER/NAME")


def _not_one(what: str, instead: str) -> BadRepoUrl:
    known = INSTEAD.get(what) or "Paste the repository's own address, %.200s" % instead
    return BadRepoUrl("This is %s, not a repository. %s." % (what, known))
