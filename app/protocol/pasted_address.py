"""The one reader of repositories' addresses, as people paste them: page, command line, API and lists use it.

It understands what a browser's address bar, a README and a chat hold, and gives git's address and what of the
repository is meant. Nothing here asks the network: `refs` says what the instance has to settle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Collection, Dict, List, Optional, Sequence, Tuple
from urllib.parse import parse_qsl, unquote

from app.protocol import refs
from app.protocol.forges import Page, is_forge, read_page
from app.protocol.pasted_command import Pasted, read_line
from app.protocol.pasted_text import machine, one_line, quoted, several
from app.protocol.repo_url import BadRepoUrl, check_repo_url

_SHORTHANDS = {
    "github": "github.com",
    "gh": "github.com",
    "gitlab": "gitlab.com",
    "bitbucket": "bitbucket.org",
    "codeberg": "codeberg.org",
    "gitee": "gitee.com",
    "hf": "huggingface.co",
}
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)(?::/{1,3}|//)(?=[^/])", re.IGNORECASE)
_MISSPELT = frozenset({"ttps", "tps", "htps", "htpps", "htttps", "httpss", "hhttps", "httos", "httsp", "hxxps"})
_SCP = re.compile(r"(?P<user>[A-Za-z0-9._-]+)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^:@\s]+(?:@[^:\s]*)?)\Z")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]|\.(?=[a-z0-9_]))*\Z")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]{2,45}\]|[^:\[\]]*)(?::(?P<port>.*))?\Z", re.IGNORECASE | re.DOTALL)
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}\Z")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
_ID = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?:==[A-Za-z0-9._-]{1,40}|@(?:v?\d+(?:\.\d+){0,2}|latest|nightly|unknown))?\Z"
)
_PROXIED = re.compile(
    r"/+(?:https?:/{1,2})?(?P<host>(?:www\.)?(?:github\.com|gitlab\.com|huggingface\.co|gitee\.com))/"
)
_SECRET = re.compile(r"token|secret|passw|api_?key|signature", re.IGNORECASE)
_TRAILING = re.compile(r"(?:[.,;:!?|'\"`>)\]}*]|%(?:20|0[ad9]|c2%a0|e2%80%8b))+\Z", re.IGNORECASE)
_ODD = re.compile(r"[\s<>|^`{}\\\":]")


@dataclass(frozen=True)
class RepoAddress:
    """A repository. `url`: as git takes it; `ref`: what of it (`refs.candidates`), None for the default branch;
    `folder`: the name that a `git clone` command gave it."""

    url: str
    ref: Optional[str] = None
    folder: Optional[str] = None


@dataclass
class _Address:
    """An address, taken apart. `scp`: it is written `user@host:path`; `fragment`: what is behind `#`."""

    scheme: str
    user: str
    host: str
    port: str
    path: str
    query: Dict[str, str]
    fragment: str = ""
    scp: bool = False


def read_address(text: object, schemes: Collection[str]) -> RepoAddress:
    """The repository of a pasted text. `schemes`: what git may fetch by. Raises only BadRepoUrl, with a sentence about
    the text and what to paste instead."""
    pasted = read_line(one_line(text))
    if pasted.address.endswith(("...", "\u2026")):
        raise BadRepoUrl("The repository URL %s was cut short; copy all of it." % quoted(pasted.address))
    parts = _taken_apart(pasted.address)
    url, ref = _with_ref(parts)
    named = _named_ref(pasted)
    if named and ref and not refs.agree(named, ref):
        raise BadRepoUrl("%s names two versions, %.80s and %.80s." % (quoted(str(text)), named, ref))
    if parts.scheme in ("http", "git") and parts.scheme not in schemes and "https" in schemes:
        message = "The repository URL %s begins with %s://, which is not allowed. Paste https://%.200s."
        raise BadRepoUrl(message % (quoted(url), parts.scheme, url.partition("://")[2]))
    check_repo_url(url, schemes)
    return RepoAddress(url, named or ref, pasted.folder)


def list_in(text: str) -> Optional[str]:
    """The path of the CSV whose page an address is, behind `refs.TREE` since a part of it is the branch; None for an
    address of something else."""
    found = re.search(r"/(?:-/)?(?:blob|src/branch|src/tag|resolve)/([^?#\s]+\.csv)(?=[?#]|\Z)", text, re.IGNORECASE)
    return refs.TREE + unquote(found.group(1)) if found else None


def _named_ref(pasted: Pasted) -> Optional[str]:
    if pasted.ref is None:
        return None
    if not refs.is_ref(pasted.ref) or pasted.ref.startswith(refs.TREE):
        raise BadRepoUrl("%s is not a branch, tag or commit." % quoted(pasted.ref))
    return refs.of_name(pasted.ref)


def _taken_apart(address: str) -> _Address:
    """The parts of one word. Raises BadRepoUrl."""
    word = address.removeprefix("git+")
    word = word.removeprefix("x-github-client://openRepo/")
    shorthand, colon, rest = word.partition(":")
    if colon and shorthand.lower() in _SHORTHANDS and not rest.startswith("/"):
        return _of_path(_SHORTHANDS[shorthand.lower()], rest)
    found = _SCHEME.match(word)
    while found and _SCHEME.match(word, found.end()):  # https://https://…
        found = _SCHEME.match(word, found.end())
    if found is None:
        return _without_scheme(word)
    scheme = found.group("scheme").lower()
    scheme = "https" if scheme in _MISSPELT else scheme
    if scheme == "file" or "::" in word[: found.start() + 20].split("/", 1)[0]:
        raise BadRepoUrl("%s is not an address that may be fetched from elsewhere." % quoted(word))
    authority, slash, path = re.match(r"([^/?#]*)([/?#]?)(.*)\Z", word[found.end() :], re.DOTALL).groups()  # type: ignore[union-attr]
    return _of_authority(scheme, authority, slash + path, word)


def _of_authority(scheme: str, authority: str, rest: str, word: str) -> _Address:
    """The parts of `scheme://authority rest`. Raises BadRepoUrl."""
    login, _, place = authority.rpartition("@")
    found = _AUTHORITY.match(place)
    host = found.group("host").lower().rstrip(".") if found else ""
    port = (found.group("port") if found else "") or ""
    path, query, fragment = _at_query(rest)
    user, has_secret, _secret = login.partition(":")
    if has_secret or (user and scheme != "ssh" and user != "git" and host not in ("bitbucket.org", "dev.azure.com")):
        raise BadRepoUrl(
            "A repository URL may not carry a user name or password; set up git's credentials on the instance."
        )
    if any(_SECRET.search(key) for key in query):
        raise BadRepoUrl("A repository URL may not carry a token; set up git's credentials on the instance.")
    user = user if scheme == "ssh" else ""
    if port and not re.match(r"[0-9]{1,5}\Z", port):  # github.com:owner/name
        if scheme == "ssh":
            return _of_scp(user or "git", host, port + rest, word)
        path, port = "/" + port + path, ""
    if not (_HOST.match(host) or host.startswith("[")):
        raise BadRepoUrl("The repository URL %s has no host that could be one." % quoted(word))
    if scheme == "ssh" and not path.strip("/"):
        raise machine(word)
    return _Address(scheme, user, host, port, path, query, fragment)


def _at_query(rest: str) -> Tuple[str, Dict[str, str], str]:
    """A path, its query and its fragment."""
    rest, _, fragment = rest.partition("#")
    path, _, query = rest.partition("?")
    try:
        pairs = dict(parse_qsl(query.replace("&amp;", "&"), max_num_fields=50))
    except ValueError:
        raise BadRepoUrl("The repository URL %s has too much behind its question mark." % quoted(path)) from None
    return path, pairs, fragment


def _of_path(host: str, rest: str, scheme: str = "https") -> _Address:
    path, query, fragment = _at_query(rest)
    return _Address(scheme, "", host, "", "/" + path.lstrip("/"), query, fragment)


def _without_scheme(word: str) -> _Address:
    """`git@host:owner/name`, `github.com/owner/name`, `owner/name`. Raises BadRepoUrl."""
    word = word[2:].lstrip("/") if word.startswith("//") else word
    scp = _SCP.match(word.partition("#")[0].partition("?")[0])
    if scp:
        return _of_scp(scp.group("user"), scp.group("host").lower(), word.partition(":")[2], word)
    _refuse_paths(word)
    if "@" in word.split("/", 1)[0] and not _ID.match(word):
        raise machine(word) if re.match(r"[\w.-]+@[\w.:\[\]-]+\Z", word) else _unknown(word)
    first, _, rest = re.match(r"([^/?#]*)(/?)(.*)\Z", word, re.DOTALL).groups()  # type: ignore[union-attr]
    host, colon, port = first.lower().partition(":")
    if is_forge(host):  # the path may follow a colon
        return _of_path(host, first[len(host) + 1 :] + "/" + rest if colon and not port.isdigit() else rest)
    if ("." in host or host == "localhost") and _HOST.match(host) and rest and port.isdigit() == bool(colon):
        path, query, fragment = _at_query("/" + rest)
        return _Address("https", "", host, port, path, query, fragment)
    return _owner_and_name(word)


def _of_scp(user: str, host: str, rest: str, word: str) -> _Address:
    """`user@host:path`. A number alone is the port of a machine."""
    path, query, fragment = _at_query(rest)
    if path.strip("/").isdigit():
        raise machine(word)
    return _Address("ssh", user, host, "", path, query, fragment, scp=True)


def _owner_and_name(word: str) -> _Address:
    """`owner/name`, as GitHub's own tools take it. Raises BadRepoUrl."""
    path, _, fragment = word.partition("?")[0].partition("#")
    parts = path.strip("/").split("/")
    owner, name = parts[0], parts[1].partition("@")[0] if len(parts) > 1 else ""
    if len(parts) == 1:
        if re.match(r"\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\Z|[\w-]+(?:\.[\w-]+)+:\d+\Z", word, re.ASCII):
            raise machine(word)
        if _ID.match(word):
            message = "%s is the name or ID of a pack, not its address. Paste the address of its repository"
            raise BadRepoUrl("%s, like https://github.com/OWNER/NAME." % (message % quoted(word)))
        raise _unknown(word)
    if not _OWNER.match(owner) or not _NAME.match(name) or (len(parts) > 2 and not _is_page(parts)):
        raise _unknown(word)
    if fragment.isdigit():
        raise BadRepoUrl(
            "%s is an issue, not a repository. Paste https://github.com/%s/%s." % (quoted(word), owner, name)
        )
    parts_of = _of_path("github.com", path)
    parts_of.fragment = ".git#" + fragment if fragment else ""
    return parts_of


def _is_page(parts: List[str]) -> bool:
    return "@" in parts[1] or parts[2] in ("tree", "blob", "commit", "commits", "releases", "pull", "archive", "issues")


def _refuse_paths(word: str) -> None:
    """Raises BadRepoUrl for folders, options, and what git would run."""
    if word.startswith(("/", "./", "../", "~", ".\\")) or re.match(r"[A-Za-z]:[\\/]", word):
        raise BadRepoUrl("%s is a folder on a machine; a repository has to be fetched from elsewhere." % quoted(word))
    if "::" in word.split("/", 1)[0]:
        raise BadRepoUrl("The repository URL %s names a git transport helper, which is not allowed." % quoted(word))
    if word.startswith("-"):
        raise BadRepoUrl("The repository URL %s begins with '-'." % quoted(word))


def _unknown(word: str) -> BadRepoUrl:
    message = "%s is not the address of a repository. Paste one like https://github.com/OWNER/NAME."
    return BadRepoUrl(message % quoted(word))


def _with_ref(parts: _Address) -> Tuple[str, Optional[str]]:
    """git's address and the ref. Raises BadRepoUrl."""
    prefix, host, path = "", parts.host, parts.path
    proxied = None if parts.scp or is_forge(host) else _PROXIED.match(path)
    if proxied:
        prefix = "/" + re.sub(r"^(https?):/+", r"\1://", path[: proxied.end() - 1].lstrip("/"))
        host, path = proxied.group("host"), path[proxied.end() - 1 :]
    if "://" in path or re.search(r"https?:/", path):
        raise several(parts.host + parts.path)
    segments = _trimmed(path.split("/"))
    if any(unquote(segment) in (".", "..") for segment in segments):
        raise BadRepoUrl("The repository URL %s has dots where a name belongs." % quoted(parts.host + parts.path))
    segments, ref = _at_ref(segments)
    page = read_page(host, _trimmed(segments), parts.query)
    repo = _trimmed(page.repo)
    if (
        _ODD.search("/".join(repo))
        or repo[-1].lower().endswith("%20")
        or len(repo) != len(page.repo)
        or repo[-1] in (".git", "-")
        or (is_forge(page.host) and not all(map(_NAME.match, repo[-2:])))
    ):
        raise BadRepoUrl("The repository URL %s has a name that no repository has." % quoted(parts.host + parts.path))
    if ref and page.ref and not refs.agree(ref, page.ref):
        raise BadRepoUrl("%s names two versions, %.80s and %.80s." % (quoted(path), ref, page.ref))
    ref = ref or page.ref or _of_fragment(parts, page)
    if parts.scp and parts.user == "root" and not repo[-1].endswith(".git"):
        raise machine("%s@%s:%s" % (parts.user, parts.host, parts.path))
    return _put_together(parts, prefix, page.host, "/".join(repo)), ref


def _trimmed(segments: Sequence[str]) -> List[str]:
    """The parts of a path without empty ones, and without what a sentence puts behind the last."""
    found = [segment for segment in segments if segment]
    while found and _TRAILING.search(found[-1]):
        found[-1] = _TRAILING.sub("", found[-1])
        found = found if found[-1] else found[:-1]
    return found


def _at_ref(segments: List[str]) -> Tuple[List[str], Optional[str]]:
    """`owner/name@ref`, as pip, comfy-cli and ComfyUI-Manager's command line have it. Raises BadRepoUrl."""
    for index, segment in enumerate(segments[:4]):
        name, at, first = segment.partition("@")
        if index >= 1 and at and name and segment[0] != "@":
            rest = [first.lstrip("@"), *segments[index + 1 :]]
            try:
                return [*segments[:index], name.partition("[")[0]], refs.of_name("/".join(rest).partition("[")[0])
            except ValueError:
                raise BadRepoUrl("%s is not a branch, tag or commit." % quoted("/".join(rest))) from None
        if segment in ("tree", "blob", "-", "src", "raw", "releases"):
            break
    return segments, None


def _of_fragment(parts: _Address, page: Page) -> Optional[str]:
    """`name.git#ref`, as npm and docker have it. On a web page it is a place on that page."""
    fragment = unquote(parts.fragment)
    shorthand = fragment.startswith(".git#")
    fragment = fragment[5:] if shorthand else fragment.partition(":")[0]
    if not (shorthand or page.repo[-1].endswith(".git")) or "=" in fragment or fragment.lower().startswith("readme"):
        return None
    return refs.of_name(fragment) if refs.is_ref(fragment) and not fragment.startswith(refs.TREE) else None


def _put_together(parts: _Address, prefix: str, host: str, path: str) -> str:
    """git's address of the repository."""
    if parts.scp:
        return "%s@%s:%s%s" % (parts.user, host, "/" if parts.path.startswith("/") else "", path)
    user = parts.user + "@" if parts.user else ""
    port = ":" + parts.port if parts.port else ""
    return "%s://%s%s%s%s/%s" % (parts.scheme, user, parts.host if prefix else host, port, prefix, path)
