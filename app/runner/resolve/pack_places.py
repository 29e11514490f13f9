"""The places for packages that a pack itself names (an index, a page or folder of links), for its own resolution.

They may serve what the pack asks for and what only these bring in; never a name that is installed, that ComfyUI or
another pack asks for, or that the machine's indexes have and the pack does not name. uv and pip cannot be told so: they
take any name from any place. So the runner reads the places, and offers what is allowed on pages of its own, on
loopback: one page of links for the names that the pack asks for, which count beside the registry's as for pip, and an
index for the others.
"""

from __future__ import annotations

import os
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import AbstractSet, Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import unquote, urlsplit

from app.protocol.package_sources import without_login
from app.protocol.wheel_names import package_of
from app.runner.environment.torch_family import is_protected
from app.runner.requirements.file_options import FileOptions, Place
from app.runner.requirements.lines import canonical
from app.runner.requirements.versions import is_older, is_version
from app.runner.resolve.pages import Link, PageUnavailable, links_in, read_links

_AT_ONCE = 8
_MOST_FILES = 10_000
_PIECE = 1 << 16
_HTML_BYTES = 4 << 20


class Served(NamedTuple):
    """A file that a place has: where people are told that it comes from."""

    link: Link
    place: Place


class PackPlaces:
    """One pack's. `reads` happen when a program asks; every method may be called from any thread."""

    def __init__(
        self,
        options: FileOptions,
        named: AbstractSet[str],
        forbidden: AbstractSet[str],
        indexes: Sequence[str],
        base: str,
    ) -> None:
        """`named`: the packages (canonical names) that the pack asks for; `forbidden`: those that its places may not
        serve; `indexes`: the machine's own; `base`: the address of its pages."""
        self._options = options
        self._named = frozenset(named) - frozenset(forbidden)
        self._forbidden = frozenset(forbidden)
        self._indexes = indexes
        self.links_page, self.index = base + "links/", base + "simple/"
        self._base = base
        self._lock = threading.Lock()
        self._pages: Dict[Tuple[str, str], List[Link]] = {}
        self._registries: Dict[Tuple[str, str], Optional[List[Link]]] = {}
        self._files: Dict[str, Path] = {}
        self._served: Dict[str, Served] = {}
        self.dead: Dict[str, str] = {}
        """Hosts that could not be read, and why."""

    def read(self) -> None:
        """Reads what the pack asks for by name; what cannot be read is in `dead`."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._found, sorted(self._named)))

    @property
    def served(self) -> FrozenSet[str]:
        """The packages that its places have served, by canonical names."""
        with self._lock:
            return frozenset(filter(None, map(_package_of, self._served)))

    def origin(self, package: str, version: str) -> Optional[str]:
        """Where a version of a package comes from, if the pack's places serve it and the machine's indexes do not have
        it: an address without login, or a folder's name. None for the registry's."""
        with self._lock:
            mine = [served.place for file, served in self._served.items() if _is(file, package, version)]
        if not mine or any(_is(link.file, package, version) for link in self._registry(package)):
            return None
        return without_login(mine[0].address) if mine[0].is_remote else mine[0].host

    def page(self, path: str) -> Optional[str]:
        """The text of one of its pages; None where there is nothing. `path`: what follows `base`."""
        if path == "links/":
            return "".join(link.html for name in sorted(self._named) for link in self._found(name))
        parts = path.split("/")
        if len(parts) != 3 or parts[0] != "simple" or parts[2]:
            return None
        name = canonical(unquote(parts[1]))
        if name in self._named or name in self._forbidden or is_protected(name) or self._is_registrys(name):
            return None
        found = self._found(name)
        return "".join(link.html for link in found) if found else None

    def file(self, path: str) -> Optional[Path]:
        """The file of the pack's folder that one of its links leads to."""
        with self._lock:
            return self._files.get(unquote(path))

    # -- reading -----------------------------------------------------------------------------------------------------

    def _found(self, name: str) -> List[Link]:
        """What all places have of a package, each file once."""
        found: Dict[str, Link] = {}
        for place in self._options.locations:
            for link in self._of_place(place, name):
                if _package_of(link.file) == name and link.file not in found:
                    found[link.file] = link
                    with self._lock:
                        self._served.setdefault(link.file, Served(link, place))
        return list(found.values())

    def _of_place(self, place: Place, name: str) -> List[Link]:
        if not place.is_remote:
            return self._once(place, "", lambda: self._local(place))
        address = _of_package(place.address, name) if place.is_index else place.address
        insecure = bool({place.host, place.host.partition(":")[0]} & set(self._options.trusted))
        return self._once(place, name if place.is_index else "", lambda: read_links(address, insecure=insecure))

    def _once(self, place: Place, name: str, read: Callable[[], List[Link]]) -> List[Link]:
        key = (place.address, name)
        with self._lock:
            known = self._pages.get(key)
        if known is not None:
            return known
        try:
            found = [] if place.host in self.dead else read()
        except PageUnavailable as exc:
            found = []
            if not exc.is_missing or not place.is_index:
                self.dead.setdefault(place.host, str(exc))
        except OSError as exc:
            found = []
            self.dead.setdefault(place.host, exc.strerror or "it cannot be read")
        with self._lock:
            return self._pages.setdefault(key, found)

    def _local(self, place: Place) -> List[Link]:
        """A folder of files, or a page of links in the pack. Raises OSError."""
        path = Path(place.address)
        if path.is_dir():
            with os.scandir(str(path)) as entries:
                files = [Path(entry.path) for entry, _ in zip(entries, range(_MOST_FILES)) if entry.is_file()]
        else:
            with open(str(path), "rb") as page:
                links = links_in(page.read(_HTML_BYTES).decode("utf-8", "replace"), path.as_uri())
            remote = [link for link in links if link.url.startswith(("http://", "https://"))]
            inside = [Path(unquote(urlsplit(link.url).path)) for link in links if link not in remote]
            files = [each for each in inside if each.parent == path.parent and each.is_file()]
            return [*remote, *self._offered(files)]
        return self._offered(files)

    def _offered(self, files: Sequence[Path]) -> List[Link]:
        with self._lock:
            self._files.update({"file/%s" % path.name: path for path in files})
        return [Link("%sfile/%s" % (self._base, path.name)) for path in files]

    def _is_registrys(self, name: str) -> bool:
        """Whether one of the machine's own indexes has a package; also where that cannot be said."""
        found = [self._of_index(url, name) for url in self._indexes]
        return any(links is None or links for links in found)

    def _registry(self, name: str) -> List[Link]:
        return [link for url in self._indexes for link in self._of_index(url, name) or ()]

    def _of_index(self, url: str, name: str) -> Optional[List[Link]]:
        with self._lock:
            if (url, name) in self._registries:
                return self._registries[url, name]
        found: Optional[List[Link]]
        try:
            if url.startswith(("http://", "https://")):
                found = read_links(_of_package(url, name))
            else:
                found = _of_folder(url, name)
        except PageUnavailable as exc:
            found = [] if exc.is_missing else None
        with self._lock:
            return self._registries.setdefault((url, name), found)


def _of_package(index: str, name: str) -> str:
    return "%s/%s/" % (index.rstrip("/"), name)


def _of_folder(folder: str, name: str) -> List[Link]:
    """What an index in a folder has of a package, and a folder of files."""
    top = Path(unquote(urlsplit(folder).path) if folder.startswith("file:") else folder)
    pages = [top / name, top]
    files = [path for page in pages if page.is_dir() for path in page.iterdir() if _package_of(path.name) == name]
    return [Link(path.as_uri()) for path in files]


def _parts(file: str) -> Tuple[str, str]:
    """The canonical name and the version in a file's name; empty for what is no package."""
    wheel = package_of(file)
    if wheel:
        return wheel
    for end in (".tar.gz", ".zip", ".tar.bz2", ".tgz"):
        if file.endswith(end) and "-" in file:
            name, _, version = file[: -len(end)].rpartition("-")
            return canonical(name), version
    return "", ""


def _is(file: str, package: str, version: str) -> bool:
    """Whether a file is of this version of a package, however that is spelled."""
    name, found = _parts(file)
    if name != package or not (is_version(found) and is_version(version)):
        return False
    return not is_older(found, version) and not is_older(version, found)


def _package_of(file: str) -> str:
    return _parts(file)[0]


class PlacesServer:
    """The pages of one run's packs, on loopback, at addresses that nobody guesses; a context manager."""

    def __init__(self) -> None:
        self._locations: Dict[str, PackPlaces] = {}
        locations: Mapping[str, PackPlaces] = self._locations
        handler = type("_Pages", (_Handler,), {"locations": locations})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="places", daemon=True)
        self._thread.start()

    def add(
        self, options: FileOptions, named: AbstractSet[str], forbidden: AbstractSet[str], indexes: Sequence[str]
    ) -> PackPlaces:
        """The places of one more pack."""
        token = secrets.token_hex(16)
        base = "http://127.0.0.1:%d/%s/" % (self._server.server_port, token)
        found = self._locations[token] = PackPlaces(options, named, forbidden, indexes, base)
        return found

    def close(self) -> None:
        """Nothing is served any more."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers for the pages of its `locations`, by their tokens."""

    locations: Mapping[str, PackPlaces] = {}
    timeout = 60

    def do_HEAD(self) -> None:
        """As `do_GET`."""
        self.do_GET()

    def do_GET(self) -> None:
        """Called by the server."""
        token, _, path = self.path.partition("?")[0].lstrip("/").partition("/")
        locations = self.locations.get(token)
        file = locations.file(path) if locations else None
        if file is not None:
            self._send_file(file)
            return
        text = locations.page(path) if locations else None
        body = (text or "").encode("utf-8")
        self.send_response(404 if text is None else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_file(self, path: Path) -> None:
        with open(str(path), "rb") as file:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            while self.command != "HEAD" and (piece := file.read(_PIECE)):
                self.wfile.write(piece)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nobody reads it; addresses may hold logins."""
