"""The Python packages of a snapshot: lines as `pip freeze` prints them, each by itself."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple
from urllib.parse import unquote

from app.protocol.left_out import LeftOutEntries, readable
from app.protocol.lockfile import MAX_PACKAGES, is_name, is_package
from app.protocol.package_sources import is_source, without_login

_EGG = re.compile(r"(?:^|&)egg=([A-Za-z0-9._-]+)")
_INNER = re.compile(r"(?:^|&)(subdirectory=[^&#\s]+)")
_REST = "What the node packs need is installed with them."
_FILE = "It came from a file or folder of the machine that the snapshot was made on. %s" % _REST
_NO_COMMIT = "Its address names no commit, so that nobody knows which one it was. %s" % _REST
_ODD = "It is not a package with a version. %s" % _REST
_PRIVATE = "Its address has a token in it, which is not kept. Install it yourself, if a node pack needs it."


def read_pips(raw: Any, out: LeftOutEntries) -> Tuple[Dict[str, str], Dict[str, str]]:
    """Versions and addresses by name; what is neither is left out."""
    packages: Dict[str, str] = {}
    sources: Dict[str, str] = {}
    known: Dict[str, str] = {}
    for line in _lines(raw):
        name, version, address = _parts(line)
        why = _problem(line, name, version, address)
        if why is None and address:
            address_only = without_login(address)
            secret = _fields(address_only) != _fields(address)
            if address_only.partition("#")[0] != address.partition("#")[0] and not secret:
                out.remark("The address of the package %s had a login in it, which was left out." % readable(name))
            fragment = address.partition("#")[2]
            address = "#".join([address_only, fragment] if fragment else [address_only])
            why = _PRIVATE if secret else None if is_source(address) else _NO_COMMIT
        same = _canonical(name)
        if why is None and known.get(same, version or address) != (version or address):
            why = "It is in the snapshot twice; %s was taken." % readable(known[same])
        if why is None and len(known) >= MAX_PACKAGES:
            why = "A snapshot may have %d packages." % MAX_PACKAGES
        if why is not None:
            out.add(line, why)
        elif same not in known:
            known[same] = version or address
            (packages if version else sources)[name] = version or address
    return packages, sources


def _problem(line: str, name: str, version: str, address: str) -> Optional[str]:
    """Why a line is no package that can be had, as far as its form says."""
    if address:
        is_local = re.match(r"(?:file:|[/~.\\]|[A-Za-z]:[\\/])", address) is not None
        return _FILE if is_local else None if is_name(name) else _ODD
    if re.match(r"(?:-e|--editable)[ =]", line):
        return _FILE
    return None if version and is_package(name, version) else _ODD


def _parts(line: str) -> Tuple[str, str, str]:
    """Name, version and address of a line; each may be missing."""
    editable = re.match(r"(?:-e|--editable)[ =]\s*(\S+)", line)
    if editable:
        place = editable.group(1).strip("'\"")
        if "://" not in place:
            return "", "", ""
        base, _, fragment = place.partition("#")
        egg, inner = _EGG.search(fragment), _INNER.search(fragment)
        name = (
            egg.group(1).replace("-info", "") if egg else base.rpartition("/")[2].partition("@")[0].removesuffix(".git")
        )
        return name, "", "#".join([base, inner.group(1)] if inner else [base])
    named, at, address = line.partition(" @ ")
    if at:
        named = named.strip().partition("[")[0]
        version = _version_of_file(named, address.strip())
        return (named, version, "") if version else (named, "", address.strip())
    name, found, version = line.partition("==")
    return name.strip(), version.strip() if found else "", ""


def _version_of_file(name: str, address: str) -> str:
    """The version in the name of a local wheel or archive; "" for what is none: the index has that version too."""
    if not re.match(r"file:|[/~.\\]|[A-Za-z]:[\\/]", address):
        return ""
    file = re.split(r"[/\\]", unquote(address.partition("#")[0]))[-1]
    wheel = re.fullmatch(r"([^-]+)-([^-]+)(?:-[^-]+){3,4}\.whl", file)
    archive = re.fullmatch(r"(.+)-([0-9][^-]*)\.(?:tar\.gz|zip)", file)
    found = wheel or archive
    is_its = found is not None and _canonical(found.group(1)) == _canonical(name)
    return found.group(2) if found is not None and is_its and is_package(name, found.group(2)) else ""


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _lines(raw: Any) -> Iterator[str]:
    """The lines, whatever the form: `{"name==1.0": ""}`, `{name: version}`, a list, a text of lines."""
    if isinstance(raw, str):
        raw = raw.splitlines()
    items = raw.items() if isinstance(raw, Mapping) else [(each, "") for each in raw] if isinstance(raw, list) else []
    for key, value in items:
        line = str(key).strip()
        given = value.strip() if isinstance(value, str) else ""
        if given and is_name(line):
            line = "%s @ %s" % (line, given) if "://" in given else "%s==%s" % (line, given.lstrip("="))
        if line and not line.startswith("#"):
            yield line


def _fields(address: str) -> str:
    return address.partition("#")[0].partition("?")[2]
