"""Manifests: the ordered list of node packs, in each form that users have, checked once for both sides.

The CSV is the Auto-installer's: header `Name,RepoUrl,Subfolder,RequirementsFile` (`Ref` may follow).
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import asdict, dataclass
from typing import Any, Collection, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from app.protocol.repo_url import BadRepoUrl, check_repo_url, repo_name

CSV_COLUMNS = ("Name", "RepoUrl", "Subfolder", "RequirementsFile")
OPTIONAL_COLUMNS = ("Ref",)
MAX_NODES = 1000
MAX_CSV_CHARS = 512 * 1024
_COLUMN_OF = {
    "name": "Name",
    "repo_url": "RepoUrl",
    "subfolder": "Subfolder",
    "requirements_file": "RequirementsFile",
    "ref": "Ref",
}
_NODE_KEYS = set(_COLUMN_OF)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff<>:"|?*\\]')
_REF = re.compile(r"^(?!-)(?!.*(\.\.|@\{|//))[A-Za-z0-9][A-Za-z0-9._/+@-]{0,199}$")


class ManifestFault(ValueError):
    """A manifest that cannot be installed; `field` names where, `message` says what."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True)
class NodePack:
    """One entry. `subfolder` and `requirements_file` are relative; `ref` is a branch, tag or commit."""

    name: str
    repo_url: str
    subfolder: Optional[str] = None
    requirements_file: Optional[str] = None
    ref: Optional[str] = None

    @property
    def folder(self) -> str:
        """Its folder under custom_nodes."""
        return self.subfolder or self.name

    def to_json(self) -> Dict[str, Any]:
        """The entry as the wire has it, its folder included."""
        return {**asdict(self), "folder": self.folder}


def parse_csv(text: str, schemes: Collection[str], field: str = "manifest.csv") -> List[NodePack]:
    """The packs of a CSV. Raises ManifestFault naming the row."""
    if len(text) > MAX_CSV_CHARS:
        raise ManifestFault(field, "The CSV is larger than %d characters." % MAX_CSV_CHARS)
    header, rows = _csv_table(text, field)
    packs = []
    for number, row in enumerate(rows, 2):
        if len(row) > len(header):
            raise ManifestFault(
                field, "Row %d has %d columns, but the header has %d." % (number, len(row), len(header))
            )
        cells = dict(zip(header, [cell.strip() for cell in row]))
        raw = {key: cells.get(column) or None for key, column in _COLUMN_OF.items()}
        raw.update(name=cells.get("Name", ""), repo_url=cells.get("RepoUrl", ""))
        packs.append(_pack(raw, schemes, field, "Row %d: " % number))
    return check_packs(packs, field)


def parse_nodes(nodes: Any, schemes: Collection[str], field: str = "manifest.nodes") -> List[NodePack]:
    """The packs of a list of objects. Raises ManifestFault naming the entry."""
    if not isinstance(nodes, list):
        raise ManifestFault(field, "The nodes are not a list.")
    packs = []
    for index, raw in enumerate(nodes):
        where = "%s[%d]" % (field, index)
        if not isinstance(raw, Mapping) or not set(raw) <= _NODE_KEYS | {"folder"}:
            raise ManifestFault(where, "A node is an object with %s." % ", ".join(sorted(_NODE_KEYS)))
        packs.append(_pack(raw, schemes, where, ""))
    return check_packs(packs, field)


def parse_urls(urls: Any, schemes: Collection[str], field: str = "manifest.urls") -> List[NodePack]:
    """The packs of a list of repository URLs, each named as its repository. Raises ManifestFault naming the entry."""
    if not isinstance(urls, list):
        raise ManifestFault(field, "The urls are not a list.")
    packs = []
    for index, url in enumerate(urls):
        where = "%s[%d]" % (field, index)
        checked = _checked_url(url, schemes, where, "")
        packs.append(_pack({"name": repo_name(checked), "repo_url": checked}, schemes, where, ""))
    return check_packs(packs, field)


def check_packs(packs: Sequence[NodePack], field: str) -> List[NodePack]:
    """The packs, if there are any and no two share a name or a folder. Raises ManifestFault."""
    if not packs:
        raise ManifestFault(field, "The list has no node pack.")
    if len(packs) > MAX_NODES:
        raise ManifestFault(field, "The list has %d node packs; at most %d are possible." % (len(packs), MAX_NODES))
    _no_two([pack.name for pack in packs], "name", field)
    _no_two([pack.folder for pack in packs], "folder", field)
    return list(packs)


def check_path(value: Any, field: str, what: str) -> str:
    """`value` if it is a relative path that stays in its folder. Raises ManifestFault."""
    if not isinstance(value, str):
        raise ManifestFault(field, "%s is not text." % what)
    parts = value.split("/")
    bad = (
        not value
        or len(value) > 200
        or _FORBIDDEN.search(value)
        or any(part in ("", ".", "..") or part.startswith((".", "-")) or part != part.strip() for part in parts)
    )
    if bad:
        raise ManifestFault(field, "%s %.80r is not a plain relative path." % (what, value))
    return value


def _csv_table(text: str, field: str) -> Tuple[List[str], List[List[str]]]:
    """The header and the rows that are not empty or a comment."""
    lines = text.lstrip("\ufeff").splitlines()
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines)), strict=True))
    except csv.Error as exc:
        raise ManifestFault(field, "The CSV cannot be read: %s." % exc) from None
    rows = [row for row in rows if any(cell.strip() for cell in row) and not row[0].lstrip().startswith("#")]
    header = [column.strip() for column in rows[0]] if rows else []
    known = CSV_COLUMNS + OPTIONAL_COLUMNS
    if header[:2] != list(CSV_COLUMNS[:2]) or len(set(header)) != len(header) or not set(header) <= set(known):
        raise ManifestFault(
            field, "The CSV's header is %.80r; expected %s." % (",".join(header), ",".join(CSV_COLUMNS))
        )
    return header, rows[1:]


def _pack(raw: Mapping[str, Any], schemes: Collection[str], where: str, prefix: str) -> NodePack:
    name = check_path(raw.get("name"), _at(where, "name"), prefix + "The name")
    if "/" in name or name.lower().endswith(".disabled"):
        raise ManifestFault(
            _at(where, "name"), "%sThe name %.80r cannot be a folder under custom_nodes." % (prefix, name)
        )
    subfolder, requirements = raw.get("subfolder"), raw.get("requirements_file")
    if subfolder is not None:
        check_path(subfolder, _at(where, "subfolder"), prefix + "The subfolder")
    if requirements is not None:
        check_path(requirements, _at(where, "requirements_file"), prefix + "The requirements file")
    ref = raw.get("ref")
    if ref is not None and not (isinstance(ref, str) and _REF.match(ref)):
        raise ManifestFault(_at(where, "ref"), "%sThe ref %.80r is not a branch, tag or commit." % (prefix, ref))
    return NodePack(
        name, _checked_url(raw.get("repo_url"), schemes, _at(where, "repo_url"), prefix), subfolder, requirements, ref
    )


def _at(where: str, key: str) -> str:
    """The field of one value: a CSV has no finer name than itself."""
    return where if where.endswith("csv") else "%s.%s" % (where, key)


def _checked_url(url: Any, schemes: Collection[str], where: str, prefix: str) -> str:
    try:
        return check_repo_url(url, schemes)
    except BadRepoUrl as exc:
        raise ManifestFault(where, prefix + str(exc)) from None


def _no_two(values: Iterable[str], what: str, field: str) -> None:
    seen: Dict[str, str] = {}
    for value in values:
        if value.lower() in seen:
            raise ManifestFault(field, "Two node packs have the %s %r." % (what, value))
        seen[value.lower()] = value


def parent_of(pack: NodePack, packs: Iterable[NodePack]) -> Optional[NodePack]:
    """The pack in whose folder `pack` goes, if it is one of `packs`: the deepest."""
    parents = [other for other in packs if pack.folder.startswith(other.folder + "/")]
    return max(parents, key=lambda other: len(other.folder), default=None)


def split_source(manifest: Optional[Mapping[str, Any]]) -> Tuple[str, Any]:
    """The form of a manifest (`default`, `csv`, `nodes`, `urls`, `repo`, `lock`) and its value. Raises
    ManifestFault."""
    if manifest is None:
        return "default", None
    forms = [form for form in ("csv", "nodes", "urls", "repo", "lock") if form in manifest]
    allowed = {*forms, "path", "ref"} if forms == ["repo"] else set(forms)
    if len(forms) != 1 or not set(manifest) <= allowed:
        raise ManifestFault("manifest", "A manifest has exactly one of csv, nodes, urls, repo and lock.")
    return forms[0], manifest if forms[0] == "repo" else manifest[forms[0]]
