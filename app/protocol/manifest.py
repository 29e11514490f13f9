"""Manifests: the ordered list of node packs, in each form that users have, checked once for both sides.

The CSV is the Auto-installer's: header `Name,RepoUrl,Subfolder,RequirementsFile` (`Ref` may follow).
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Callable, Collection, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from app.protocol import refs
from app.protocol.pasted_address import RepoAddress, read_address
from app.protocol.pasted_text import is_address, quoted, split_pasted
from app.protocol.registry_ref import NIGHTLY, RegistryRef, read_registry_ref
from app.protocol.repo_identity import same_repo
from app.protocol.repo_url import BadRepoUrl, repo_name

CSV_COLUMNS = ("Name", "RepoUrl", "Subfolder", "RequirementsFile")
OPTIONAL_COLUMNS = ("Ref",)
MAX_NODES = 1000
MAX_CSV_CHARS = 512 * 1024
"""Of any text or texts that list packs."""
MAX_LINES = 10 * MAX_NODES
"""Of a text that lists packs, empty lines and comments included."""
_COLUMN_OF = {
    "name": "Name",
    "repo_url": "RepoUrl",
    "subfolder": "Subfolder",
    "requirements_file": "RequirementsFile",
    "ref": "Ref",
}
_COLUMNS_AS_WRITTEN = {
    **{column.lower(): column for column in CSV_COLUMNS + OPTIONAL_COLUMNS},
    **dict.fromkeys(("url", "repo", "repository", "repositoryurl"), "RepoUrl"),
    "requirements": "RequirementsFile",
}
"""A header's words in any case, without spaces, hyphens and underscores."""
_REGISTRY_KEYS = ("registry_id", "version", "archive_url", "archive_sha256")
_NODE_KEYS = {*_COLUMN_OF, *_REGISTRY_KEYS, "disabled"}
DISABLED_FOLDER = ".disabled"
"""Where ComfyUI-Manager has disabled packs, under custom_nodes."""
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_ARCHIVE_URL = re.compile(r"(?P<scheme>https?)://[^\s/@\x00-\x20\x7f-\uffff]+/[\x21-\x7e]*\Z")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff<>:"|?*\\]')


class ManifestFault(ValueError):
    """A manifest that cannot be installed; `field` names where, `message` says what."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True)
class NodePack:
    """One entry. `subfolder` and `requirements_file` are relative; `ref` is a branch, tag or commit, or what only the
    repository can tell apart (`refs.TREE`). A pack of ComfyUI's registry has a `registry_id`, and of the others what
    is known: its `version` (none: the newest), its archive's address and hash, its repository. One that is `disabled`
    is put where ComfyUI-Manager has those, and nothing more is done for it."""

    name: str
    repo_url: str
    subfolder: Optional[str] = None
    requirements_file: Optional[str] = None
    ref: Optional[str] = None
    registry_id: str = ""
    version: str = ""
    archive_url: str = ""
    archive_sha256: str = ""
    disabled: bool = False

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        return str(RegistryRef(self.registry_id, self.version)) if self.registry_id else self.repo_url

    @property
    def folder(self) -> str:
        """Its folder under custom_nodes."""
        own = self.subfolder or self.name
        return "%s/%s" % (DISABLED_FOLDER, own) if self.disabled else own

    def to_json(self) -> Dict[str, Any]:
        """The entry as the wire has it, its folder included."""
        values = {**asdict(self), "folder": self.folder}
        return {key: value for key, value in values.items() if value or key not in (*_REGISTRY_KEYS, "disabled")}


_BESIDE: Mapping[str, Tuple[str, ...]] = {"repo": ("path", "ref"), "nodes": ("left_out", "remarks", "needs")}
"""What a form may have beside it. `left_out` and `remarks`: as a lock has them, of a list that another tool's file
became."""
Repeated = Callable[[NodePack], None]
"""Gets an entry that says the same as an earlier one, and is left out."""


def parse_csv(
    text: str, schemes: Collection[str], field: str = "manifest.csv", on_repeated: Optional[Repeated] = None
) -> List[NodePack]:
    """The packs of a CSV. Raises ManifestFault naming the line."""
    if len(text) > MAX_CSV_CHARS:
        raise ManifestFault(field, "The CSV is larger than %d characters." % MAX_CSV_CHARS)
    header, rows = _csv_table(text, field)
    check_count(len(rows), field)
    packs = [_csv_pack(header, number, row, schemes, field) for number, row in rows]
    return check_packs(packs, field, on_repeated)


def wrong_rows(text: str, schemes: Collection[str], field: str = "manifest.csv") -> Iterator[ManifestFault]:
    """What is wrong with each row of a CSV by itself, with the line in their fields. Raises ManifestFault."""
    if len(text) > MAX_CSV_CHARS:
        return
    header, rows = _csv_table(text, field)
    for number, row in rows:
        try:
            _csv_pack(header, number, row, schemes, field)
        except ManifestFault as fault:
            yield ManifestFault("%s[%d]" % (field, number), fault.message)


def _csv_pack(header: Sequence[str], number: int, row: List[str], schemes: Collection[str], field: str) -> NodePack:
    row = _without_empty_ends(row, len(header))
    if len(row) > len(header):
        raise ManifestFault(field, "Line %d has %d columns, but the header has %d." % (number, len(row), len(header)))
    cells = dict(zip(header, [cell.strip() for cell in row]))
    raw = {key: cells.get(column) or None for key, column in _COLUMN_OF.items()}
    raw.update(name=cells.get("Name", ""), repo_url=cells.get("RepoUrl", ""))
    return _pack(raw, schemes, field, "Line %d: " % number)


def parse_nodes(
    nodes: Any, schemes: Collection[str], field: str = "manifest.nodes", on_repeated: Optional[Repeated] = None
) -> List[NodePack]:
    """The packs of a list of objects. Raises ManifestFault naming the entry."""
    if not isinstance(nodes, list):
        raise ManifestFault(field, "The nodes are not a list.")
    check_count(len(nodes), field)
    packs = []
    for index, raw in enumerate(nodes):
        where = "%s[%d]" % (field, index)
        if not isinstance(raw, Mapping) or not set(raw) <= _NODE_KEYS | {"folder"}:
            raise ManifestFault(where, "A node is an object with %s." % ", ".join(sorted(_NODE_KEYS)))
        pack = _registry_pack(raw, schemes, where) if raw.get("registry_id") else _pack(raw, schemes, where, "")
        packs.append(_put_aside(pack, where) if raw.get("disabled") is True else pack)
    return check_packs(packs, field, on_repeated)


def parse_urls(
    urls: Any, schemes: Collection[str], field: str = "manifest.urls", on_repeated: Optional[Repeated] = None
) -> List[NodePack]:
    """The packs of a list of repositories, each named as its repository or as the folder of its `git clone`, and of
    packs of ComfyUI's registry (`id@version`). An entry may be a text of several. Raises ManifestFault naming the
    entry."""
    if not isinstance(urls, list):
        raise ManifestFault(field, "The urls are not a list.")
    check_count(len(urls), field)
    if sum(len(text) for text in urls if isinstance(text, str)) > MAX_CSV_CHARS:
        raise ManifestFault(field, "The list is larger than %d characters." % MAX_CSV_CHARS)
    entries = [("%s[%d]" % (field, index), url) for index, text in enumerate(urls) for url in _pasted(text, field)]
    check_count(len(entries), field)
    packs = []
    for where, url in entries:
        named = read_registry_ref(url)
        if named is not None:
            packs.append(_registry_pack({"registry_id": named.registry_id, "version": named.version}, schemes, where))
            continue
        read = _read_url(url, schemes, where, "")
        raw = {"name": read.folder or repo_name(read.url), "repo_url": read.url, "ref": read.ref}
        packs.append(_pack(raw, schemes, where, ""))
    return check_packs(packs, field, on_repeated)


def check_count(count: int, field: str) -> None:
    """Raises ManifestFault for more packs than a list may have: before any of them is looked at."""
    if count > MAX_NODES:
        raise ManifestFault(field, "The list has %d node packs; at most %d are possible." % (count, MAX_NODES))


def _pasted(text: Any, field: str) -> List[Any]:
    """The addresses in one entry of urls."""
    if not isinstance(text, str) or not text.strip():
        return [text]
    _check_lines(text.splitlines(), field)
    return split_pasted(text)


def _check_lines(lines: Sequence[str], field: str) -> None:
    if len(lines) > MAX_LINES:
        raise ManifestFault(field, "The list has %d lines; at most %d are possible." % (len(lines), MAX_LINES))


def check_packs(packs: Sequence[NodePack], field: str, on_repeated: Optional[Repeated] = None) -> List[NodePack]:
    """The packs, each once, if there are any and no two share a name or a folder. Raises ManifestFault."""
    if not packs:
        raise ManifestFault(field, "The list has no node pack.")
    check_count(len(packs), field)
    seen: Dict[Tuple[str, str], NodePack] = {}
    kept = []
    for pack in packs:
        keys = [("name", pack.name.lower()), ("folder", pack.folder.lower())]
        same = next(((key, seen[key]) for key in keys if key in seen), None)
        if same is None:
            kept.append(pack)
            seen.update(dict.fromkeys(keys, pack))
        elif _says_the_same(same[1], pack):
            if on_repeated is not None:
                on_repeated(pack)
        else:
            raise ManifestFault(field, _of_two(same[1], pack, same[0][0]))
    return kept


def check_path(value: Any, field: str, what: str) -> str:
    """`value` if it is a relative path that stays in its folder. Raises ManifestFault."""
    if not isinstance(value, str):
        raise ManifestFault(field, "%s is not text." % what)
    if not is_path(value):
        raise ManifestFault(field, "%s %.80r is not a plain relative path." % (what, value))
    return value


def is_path(value: str) -> bool:
    """Whether a text is a relative path that stays in its folder, of names that are harmless everywhere."""
    if not value or len(value) > 200 or _FORBIDDEN.search(value):
        return False
    parts = value.split("/")
    return not any(part in ("", ".", "..") or part.startswith((".", "-")) or part != part.strip() for part in parts)


def _csv_table(text: str, field: str) -> Tuple[List[str], List[Tuple[int, List[str]]]]:
    """The header and the rows that are not empty or a comment, each with the number of its (last) line."""
    lines = text.lstrip("\ufeff").splitlines()
    _check_lines(lines, field)
    if lines and lines[0].lower().startswith("sep="):
        lines[0] = ""  # a line of Excel's own
    reader = csv.reader(io.StringIO("\n".join(lines)), delimiter=_delimiter_of(lines), strict=True)
    try:
        found = [(reader.line_num, row) for row in reader]
    except csv.Error as exc:
        raise ManifestFault(field, "Line %d of the CSV cannot be read: %s." % (reader.line_num, exc)) from None
    rows = [each for each in found if any(map(str.strip, each[1])) and not each[1][0].lstrip().startswith("#")]
    header = [_column(cell) for cell in _without_empty_ends(rows[0][1])] if rows else []
    known = CSV_COLUMNS + OPTIONAL_COLUMNS
    if not set(CSV_COLUMNS[:2]) <= set(header) <= set(known) or len(set(header)) != len(header):
        text = "The CSV's header is %s; expected %s." % (quoted(",".join(header)), ",".join(CSV_COLUMNS))
        if header and is_address(header[0].split(" ")[-1]):
            text += " A list of addresses alone is no CSV: paste them on the page, or give each with --url."
        raise ManifestFault(field, text)
    return header, rows[1:]


def _column(cell: str) -> str:
    """The column that a header's cell means; another one as it is."""
    return _COLUMNS_AS_WRITTEN.get(re.sub(r"[\s_-]+", "", cell).lower(), cell.strip())


def _without_empty_ends(row: List[str], least: int = 0) -> List[str]:
    """A row without the empty cells that spreadsheets write behind the last column, but `least` cells."""
    end = len(row)
    while end > least and not row[end - 1].strip():
        end -= 1
    return row[:end]


def _delimiter_of(lines: Sequence[str]) -> str:
    """What stands between the columns: Excel writes a semicolon or a tab, by the computer's language."""
    header = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    return "," if "," in header else next((mark for mark in ";\t" if mark in header), ",")


def _pack(raw: Mapping[str, Any], schemes: Collection[str], where: str, prefix: str) -> NodePack:
    if "\ufffd" in str(raw.get("name")):
        text = "%sThe name %.80r has characters that are not UTF-8. Save the list as UTF-8."
        raise ManifestFault(_at(where, "name"), text % (prefix, raw.get("name")))
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
    if ref is not None and not refs.is_ref(ref):
        raise ManifestFault(_at(where, "ref"), "%sThe ref %.80r is not a branch, tag or commit." % (prefix, ref))
    read = _read_url(raw.get("repo_url"), schemes, _at(where, "repo_url"), prefix)
    if ref and read.ref and not refs.agree(ref, read.ref):
        text = "%sThe ref is %.80r, but the address names %.80r. Leave one of them out."
        raise ManifestFault(_at(where, "ref"), text % (prefix, ref, read.ref.replace(refs.TREE, "")))
    return NodePack(name, read.url, subfolder, requirements, ref or read.ref)


def _registry_pack(raw: Mapping[str, Any], schemes: Collection[str], where: str) -> NodePack:
    """A pack of ComfyUI's registry: its folder is its id, as ComfyUI-Manager has it. `nightly` is its repository."""
    node_id, version = raw.get("registry_id"), raw.get("version") or ""
    named = read_registry_ref("%s@%s" % (node_id, version or "latest"))
    if named is None or named.registry_id != node_id:
        text = "%.80r with the version %.80r is not a pack of ComfyUI's registry."
        raise ManifestFault(_at(where, "registry_id"), text % (node_id, version))
    name, url = raw.get("name") or named.registry_id, raw.get("repo_url") or ""
    given = {"name": name, "subfolder": raw.get("subfolder"), "requirements_file": raw.get("requirements_file")}
    if named.version == NIGHTLY:
        if not url:
            text = "The nightly version of %s is its repository, of which the list does not have the address."
            raise ManifestFault(_at(where, "version"), text % node_id)
        return _pack({**given, "repo_url": url}, schemes, where, "")
    if raw.get("ref"):
        raise ManifestFault(_at(where, "ref"), "A pack of ComfyUI's registry has a version, and no ref.")
    stand_in = url or "https://registry.invalid/" + named.registry_id
    pack = _pack({**given, "repo_url": stand_in}, schemes, where, "")
    address, sha256 = raw.get("archive_url") or "", raw.get("archive_sha256") or ""
    _check_archive(address, sha256, schemes, where)
    url = pack.repo_url if url else ""
    return NodePack(
        pack.name,
        url,
        pack.subfolder,
        pack.requirements_file,
        None,
        named.registry_id,
        named.version,
        address,
        sha256,
    )


def _put_aside(pack: NodePack, where: str) -> NodePack:
    """A disabled pack, in the folder that ComfyUI-Manager would give it: one level, its version behind it."""
    if "/" in (pack.subfolder or "") or (pack.registry_id and not pack.version):
        raise ManifestFault(where, "A disabled node pack has a folder of its own, and one of the registry its version.")
    by_version = "%s@%s" % (pack.registry_id, pack.version.replace(".", "_")) if pack.registry_id else None
    return replace(pack, subfolder=pack.subfolder or by_version, disabled=True)


def _check_archive(address: Any, sha256: Any, schemes: Collection[str], where: str) -> None:
    found = _ARCHIVE_URL.match(address) if isinstance(address, str) and len(address) <= 2000 else None
    if address and (found is None or found.group("scheme") not in schemes):
        raise ManifestFault(_at(where, "archive_url"), "%.80r is not the address of an archive." % address)
    if sha256 and not (isinstance(sha256, str) and _SHA256.match(sha256)):
        raise ManifestFault(_at(where, "archive_sha256"), "A SHA-256 has 64 hex digits, in lower case.")


def _at(where: str, key: str) -> str:
    """The field of one value: a CSV has no finer name than itself."""
    return where if where.endswith("csv") else "%s.%s" % (where, key)


def _read_url(text: Any, schemes: Collection[str], where: str, prefix: str) -> RepoAddress:
    try:
        return read_address(text, schemes)
    except BadRepoUrl as exc:
        raise ManifestFault(where, prefix + str(exc)) from None


def _says_the_same(one: NodePack, other: NodePack) -> bool:
    """Whether an entry repeats another one: the repository in whatever spelling, its version and its folder."""
    names = (one.name.lower(), one.folder.lower(), one.ref) == (other.name.lower(), other.folder.lower(), other.ref)
    files = {one.requirements_file, other.requirements_file} - {one.requirements_file}
    if one.registry_id or other.registry_id:
        same = (one.registry_id.lower(), one.version) == (other.registry_id.lower(), other.version)
    else:
        same = same_repo(one.repo_url, other.repo_url)
    return names and not files and same


def _of_two(one: NodePack, other: NodePack, what: str) -> str:
    """Why two entries cannot both be installed."""
    if one.registry_id and one.registry_id.lower() == other.registry_id.lower():
        return "The list has %s twice: as %s and as %s. Remove one of the two." % (one.name, one.source, other.source)
    if same_repo(one.repo_url, other.repo_url) and one.ref != other.ref:
        versions = [each.ref or "its newest version" for each in (one, other)]
        return "The list has %s twice: at %s and at %s. Remove one of the two." % (one.name, *versions)
    value = other.name if what == "name" else other.folder
    text = "Two node packs have the %s %r: %s and %s. Give one of them another name, or remove it."
    return text % (what, value, one.source, other.source)


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
    allowed = {*forms, *_BESIDE.get("".join(forms), ())}
    if len(forms) != 1 or not set(manifest) <= allowed:
        raise ManifestFault("manifest", "A manifest has exactly one of csv, nodes, urls, repo and lock.")
    return forms[0], manifest if forms[0] == "repo" else manifest[forms[0]]
