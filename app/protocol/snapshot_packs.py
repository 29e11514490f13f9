"""The node packs of a snapshot: each entry by itself, so that one that cannot be had costs no other.

Forms that are in use: `{URL: {hash, disabled}}` (ComfyUI-Manager, comfy-cli), `{URL: hash}`, `{name: {url, hash}}`, and
lists of `{url, hash}`.
"""

from __future__ import annotations

import re
from typing import Any, Collection, Dict, Iterator, List, Mapping, Tuple
from urllib.parse import SplitResult, urlsplit, urlunsplit

from app.protocol.left_out import LeftOutEntries, readable
from app.protocol.manifest import MAX_NODES, ManifestFault, is_path, parse_nodes
from app.protocol.registry_ref import NIGHTLY, RegistryRef, read_registry_ref
from app.protocol.repo_identity import same_repo
from app.protocol.repo_url import repo_name

_TRUE = ("true", "yes", "on", "1")
"""What a person may write in YAML for true; ComfyUI-Manager writes the first."""
_ADDRESS_KEYS = ("url", "repo_url", "repository", "repo", "remote", "git_url")
_COMMIT_KEYS = ("hash", "commit", "commit_hash", "commit_id", "sha")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT = re.compile(r"[0-9a-f]{4,39}")
_LOCAL = re.compile(r"^(?:[/~.\\]|file:|[A-Za-z]:[\\/])", re.IGNORECASE)
_COMFYUIS_OWN = frozenset({"websocket_image_save.py", "example_node.py.example", "example_node.py"})
DISABLED = "It is disabled in the file, which makes a list of packs to load. To have it, add its address to the list."
_NO_COMMIT = "The snapshot has no commit of it. Add its address to the list to get its newest version."
_ADD = "Add its repository's address to the list, or its id alone for the newest version."
_FOLDER = (
    "It is a folder of the machine that the snapshot was made on. Copy it into custom_nodes yourself, or push it to a "
    "git server and use that address."
)


class NotHad(ValueError):
    """Why a repository cannot be fetched, and what to do."""


def read_packs(raw: Any, schemes: Collection[str], out: LeftOutEntries) -> List[Dict[str, Any]]:
    """The packs of `git_custom_nodes`, as a lock has them. `schemes`: what git may fetch by."""
    packs: List[Dict[str, Any]] = []
    known: Dict[str, Dict[str, Any]] = {}
    for address, entry in _entries(raw, out):
        commit = _first(entry, _COMMIT_KEYS).strip().lower()
        disabled = {"disabled": True} if is_disabled(entry) else {}
        try:
            if len(packs) >= MAX_NODES:
                raise NotHad("A list has at most %d node packs. Install the others with a second one." % MAX_NODES)
            url = fetchable(address, schemes, out)
            _check_commit(commit)
            name = repo_name(url)
            folder = _folder(entry.get("folder")).removesuffix(".disabled") or name
            given = {"name": name, "subfolder": folder, "repo_url": url, "ref": commit, **disabled}
            folder = parse_nodes([given], schemes)[0].folder
            _check_room(url, commit, known.get(folder.lower()))
        except ManifestFault as fault:
            out.add(address, fault.message, commit)
            continue
        except NotHad as exc:
            if str(exc):
                out.add(address, str(exc), commit)
            continue
        packs.append({"name": name, "repo_url": url, "folder": folder, "commit": commit, **disabled})
        known[folder.lower()] = packs[-1]
    return packs


def _folder(value: Any) -> str:
    """The folder that an entry names, where it is one below custom_nodes."""
    return value if isinstance(value, str) and is_path(value) else ""


def read_registry_packs(raw: Any, others: Collection[Mapping[str, Any]], out: LeftOutEntries) -> List[Dict[str, Any]]:
    """The packs of `cnr_custom_nodes`, as a lock has them: named by their ids in ComfyUI's registry. `others`: the
    packs that the snapshot has besides."""
    packs: List[Dict[str, Any]] = []
    taken = {str(pack["folder" if pack.get("disabled") else "name"]).lower() for pack in others}
    for name, value in raw.items() if isinstance(raw, Mapping) else _listed(raw):
        entry = value if isinstance(value, Mapping) else {"version": value}
        version = readable(entry.get("version") or entry.get("ver") or "")
        named = read_registry_ref("%s@%s" % (name, version)) if version else None
        if named is None or not named.version:
            out.add(name, "It comes from ComfyUI's registry, and the snapshot has no version of it. %s" % _ADD, version)
        elif named.version == NIGHTLY:
            out.add(name, "Its nightly version is its repository, which the snapshot does not name. %s" % _ADD, version)
        elif len(others) + len(packs) >= MAX_NODES:
            out.add(name, "A list has at most %d node packs. Install the others with a second one." % MAX_NODES)
        else:
            pack = _of_registry(named, disabled=is_disabled(entry))
            if pack["folder"].lower() in taken:
                out.add(name, "The list has a pack of this name already: one of the two is enough.", version)
                continue
            taken.add(pack["folder"].lower())
            packs.append(pack)
    return packs


def _of_registry(named: RegistryRef, *, disabled: bool) -> Dict[str, Any]:
    own = {"name": named.registry_id, "registry_id": named.registry_id, "version": named.version}
    off = {"disabled": True} if disabled else {}
    return {**own, "folder": parse_nodes([{**own, **off}], ("https",))[0].folder, **off}


def name_apart(packs: Collection[Dict[str, Any]]) -> None:
    """Gives a disabled pack a name of its own where another one has its: a pack can be there in one version, and
    disabled in others."""
    taken = {pack["name"].lower() for pack in packs if not pack.get("disabled")}
    for pack in packs:
        if pack.get("disabled"):
            name, number = pack["name"], 1
            while pack["name"].lower() in taken:
                pack["name"] = "%s@disabled%s" % (name, "_%d" % number if number > 1 else "")
                number += 1
            taken.add(pack["name"].lower())


def read_files(raw: Any, out: LeftOutEntries) -> None:
    """The single files of `file_custom_nodes`: a snapshot has nothing but their names."""
    found = [{"filename": name, "disabled": value} for name, value in raw.items()] if isinstance(raw, Mapping) else raw
    for each in found if isinstance(found, list) else []:
        entry = each if isinstance(each, Mapping) else {"filename": each}
        name = readable(entry.get("filename"))
        if name and name not in _COMFYUIS_OWN and not is_disabled(entry):
            out.add(name, "It is a single file, and a snapshot has only its name. Copy it into custom_nodes yourself.")


def is_disabled(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is switched off where the snapshot was made."""
    return str(entry.get("disabled")).lower() in _TRUE or str(entry.get("enabled")).lower() == "false"


def fetchable(address: str, schemes: Collection[str], out: LeftOutEntries) -> str:
    """The address that git is given: without a login, https where it says http. Raises NotHad."""
    text = address.strip().removeprefix("git+")
    if _LOCAL.match(text):
        raise NotHad(_FOLDER)
    if "://" not in text and re.match(r"[\w.-]+@[\w.-]+:", text):
        return text
    if "://" not in text:
        if not re.match(r"[\w-]+(\.[\w-]+)+/", text):
            raise NotHad("It is not the address of a repository. Add that address to the list.")
        text = "https://" + text
    try:
        parts = urlsplit(text)
        _ = parts.port  # a port that is none is found only now
    except ValueError:
        raise NotHad("Its address cannot be understood. Add the right one to the list.") from None
    scheme, host = _by_https(parts, _without_login(parts, address, out), schemes)
    if scheme != parts.scheme:
        out.remark("%s is fetched by https; the snapshot says %s." % (readable(address), parts.scheme))
    return urlunsplit((scheme, host, parts.path.rstrip("/"), "", ""))


def _without_login(parts: SplitResult, address: str, out: LeftOutEntries) -> str:
    """Host and port, and the user that ssh needs."""
    user, at, host = parts.netloc.rpartition("@")
    if parts.scheme == "ssh" and ":" not in user:
        return user + at + host
    if at:
        how = "If it is private, set up git's login on the instance."
        out.remark("The address of %s had a login in it, which was left out. %s" % (readable(address), how))
    return host


def _by_https(parts: SplitResult, host: str, schemes: Collection[str]) -> Tuple[str, str]:
    """Scheme and host: https where the address has a scheme that git may not fetch by and a host that knows both.
    Raises NotHad."""
    if parts.scheme not in ("http", "git") or parts.scheme in schemes or "https" not in schemes:
        return parts.scheme, host
    if parts.port not in (None, 80, 9418):
        allow = "NODEFERRY_ALLOWED_GIT_SCHEMES=https,ssh,http allows http"
        raise NotHad("Its address is %s, which is not allowed (%s)." % (parts.scheme, allow))
    return "https", host if parts.port is None else host.rpartition(":")[0]


def _check_commit(commit: str) -> None:
    """Raises NotHad for what is no commit in full."""
    if not commit:
        raise NotHad(_NO_COMMIT)
    if _SHORT.fullmatch(commit):
        text = "%s is only the beginning of a commit. Write all its 40 digits into the snapshot."
        raise NotHad(text % commit)
    if not _COMMIT.fullmatch(commit):
        raise NotHad(
            "%.60s is no commit. Write its 40 digits into the snapshot, or add its address to the list."
            % readable(commit)
        )


def _check_room(url: str, commit: str, other: Any) -> None:
    """Raises NotHad where another pack has its folder; without words for the same one again."""
    if other is None:
        return
    if not same_repo(other["repo_url"], url):
        text = "Its folder would be that of %s. To have both, install this one by itself under another name."
        raise NotHad(text % readable(other["repo_url"]))
    said = (
        ""
        if other["commit"] == commit
        else "It is in the snapshot twice; the commit %s was taken." % other["commit"][:10]
    )
    raise NotHad(said)


def _entries(raw: Any, out: LeftOutEntries) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    """Address and entry of each pack, whatever the form."""
    for key, value in raw.items() if isinstance(raw, Mapping) else _listed(raw):
        entry: Mapping[str, Any] = value if isinstance(value, Mapping) else {"hash": value}
        if isinstance(value, (list, bool)):
            out.add(key, _NO_COMMIT)
            continue
        inner = _first(entry, _ADDRESS_KEYS)
        yield (inner if inner and "://" not in str(key) else str(key)), entry


def _listed(raw: Any) -> Iterator[Tuple[str, Any]]:
    for each in raw if isinstance(raw, list) else []:
        if isinstance(each, Mapping):
            yield _first(each, (*_ADDRESS_KEYS, "id", "name")), each
        elif isinstance(each, str):
            address, _, version = each.rpartition("@")
            is_pinned = bool(address) and "/" not in version and ":" not in version
            yield (address, version) if is_pinned else (each, None)


def _first(entry: Mapping[str, Any], keys: Collection[str]) -> str:
    return next((str(entry[key]) for key in keys if isinstance(entry.get(key), (str, int)) and entry[key]), "")
