"""A package index on loopback (PEP 503) with packages made on the spot: conflicts and failing builds, no network."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import http.server
import io
import json
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

_BACKEND = '''"""A build backend without requirements."""
import zipfile

WHEEL = {wheel!r}
FILES = {files!r}
BROKEN = {broken!r}
BUILDING = {building!r}


def build_wheel(folder, settings=None, metadata=None):
    exec(BUILDING, dict())
    if BROKEN:
        raise RuntimeError(BROKEN)
    with zipfile.ZipFile(folder + "/" + WHEEL, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
    return WHEEL
'''
_PIECE = 16_384
_JSON = "application/vnd.pypi.simple.v1+json"
_PROJECT = '[build-system]\nrequires = %s\nbuild-backend = "backend"\nbackend-path = ["."]\n'


class PackageIndex:
    """Serves a folder of packages; a context manager. `url` is the index, `links` the folder of all files."""

    def __init__(
        self,
        folder: Path,
        *,
        sizes: bool = False,
        bytes_per_second: float | None = None,
        cache_headers: bool = True,
        login: str = "",
    ) -> None:
        """`sizes`: it speaks JSON too (PEP 691), and says how large files are (PEP 700). `bytes_per_second`: no file
        is sent faster. Without `cache_headers` no answer says how old it is, so that uv asks for all again.
        `login`: `name:password` without which nothing is answered; it stands in `url`."""
        self.folder = folder
        self._attributes: dict[str, str] = {}
        """Of the links to files, by their names."""
        (folder / "simple").mkdir(parents=True)
        self._login = login
        about = {"bytes_per_second": bytes_per_second, "cache_headers": cache_headers, "login": login}
        kind = type("_Paced", (_Json if sizes else _Quiet,), about)
        handler = partial(kind, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> PackageIndex:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    @property
    def url(self) -> str:
        """What `--index-url` takes."""
        login = f"{self._login}@" if self._login else ""
        return f"http://{login}127.0.0.1:{self._server.server_port}/simple/"

    def wheel(
        self,
        name: str,
        version: str,
        requires: Sequence[str] = (),
        modules: Mapping[str, str] | None = None,
        *,
        tag: str = "py3-none-any",
        python: str = "",
    ) -> str:
        """Adds a wheel; its address. `modules`: its files, by default a package of its name. `tag`: for which Python
        and platform it is; `python`: the versions of Python that the index says it is for."""
        content = _wheel(_files(name, version, requires, modules))
        file = f"{_plain(name)}-{version}-{tag}.whl"
        if python:
            self._attributes[file] = f' data-requires-python="{html.escape(python)}"'
        return self._add(name, file, content)

    def sdist(
        self,
        name: str,
        version: str,
        requires: Sequence[str] = (),
        *,
        broken: str = "",
        building: str = "",
        build_requires: Sequence[str] = (),
        tag: str = "py3-none-any",
    ) -> str:
        """Adds a source distribution, which takes no download to build, but for `build_requires`. `broken`: what its
        build raises; `building`: Python that its build runs first."""
        top = f"{_plain(name)}-{version}"
        how = {"broken": broken, "building": building, "build_requires": build_requires, "tag": tag}
        content = source_tree(name, version, requires, **how)  # type: ignore[arg-type]
        return self._add(name, f"{top}.tar.gz", _tar(top, content))

    def counted_sdist(self, name: str, version: str, requires: Sequence[str] = (), *, tag: str = "py3-none-any") -> str:
        """Adds a source distribution whose builds are counted: `builds`. `tag`: of the wheel that comes of it."""
        mark = f"open({str(self.folder / 'builds')!r}, 'a').write({f'{name}=={version} '!r})"
        return self.sdist(name, version, requires, building=mark, tag=tag)

    @property
    def builds(self) -> list[str]:
        """The builds of counted source distributions so far, as `name==version`, in their order."""
        counted = self.folder / "builds"
        return counted.read_text().split() if counted.exists() else []

    def yank(self, name: str, version: str = "") -> None:
        """All versions of a package, or this one, are withdrawn by their author (PEP 592)."""
        for path in (self.folder / "simple" / name).glob(f"{_plain(name)}-{version}*"):
            self._attributes[path.name] = ' data-yanked="it was bad"'
        self._write_page(self.folder / "simple" / name)

    def spoiled(self, name: str, version: str) -> str:
        """Adds a wheel that is listed and cannot be read."""
        return self._add(name, f"{_plain(name)}-{version}-py3-none-any.whl", b"this is no archive")

    def file(self, name: str, file: str, content: bytes) -> str:
        """Adds a file that was made elsewhere; its address."""
        return self._add(name, file, content)

    def _add(self, name: str, file: str, content: bytes) -> str:
        folder = self.folder / "simple" / name.lower().replace("_", "-").replace(".", "-")
        folder.mkdir(exist_ok=True)
        (folder / file).write_bytes(content)
        self._write_page(folder)
        return f"{self.url}{folder.name}/{file}"

    def _write_page(self, folder: Path) -> None:
        names = sorted(path.name for path in folder.iterdir() if path.name != "index.html")
        lines = [f'<a{self._attributes.get(each, "")} href="{each}">{each}</a>\n' for each in names]
        (folder / "index.html").write_text("".join(lines))


def source_tree(
    name: str,
    version: str,
    requires: Sequence[str] = (),
    *,
    broken: str = "",
    building: str = "",
    build_requires: Sequence[str] = (),
    tag: str = "py3-none-any",
) -> dict[str, str]:
    """The files of a package's source, as a source distribution or a repository has them."""
    top = f"{_plain(name)}-{version}"
    files = _files(name, version, requires, None)
    backend = _BACKEND.format(wheel=f"{top}-{tag}.whl", files=files, broken=broken, building=building)
    system = _PROJECT % json.dumps(list(build_requires))
    project = f'{system}[project]\nname = "{name}"\nversion = "{version}"\ndependencies = {list(requires)!r}\n'
    return {"backend.py": backend, "pyproject.toml": project, "PKG-INFO": files[f"{top}.dist-info/METADATA"]}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing."""

    bytes_per_second: float | None = None
    cache_headers = True
    login = ""

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        expected = "Basic " + base64.b64encode(self.login.encode()).decode()
        if self.login and self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        return super().send_head()

    def send_header(self, keyword: str, value: str) -> None:
        if self.cache_headers or keyword.lower() != "last-modified":
            super().send_header(keyword, value)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def copyfile(self, source: BinaryIO, outputfile: BinaryIO) -> None:  # type: ignore[override]
        """The file, at the index's rate."""
        with contextlib.suppress(ConnectionError):  # a client that has read enough goes away
            while self.bytes_per_second is not None and (piece := source.read(_PIECE)):
                outputfile.write(piece)
                threading.Event().wait(len(piece) / self.bytes_per_second)
            shutil.copyfileobj(source, outputfile)


class _Json(_Quiet):
    """Answers in JSON who takes it."""

    def do_GET(self) -> None:
        folder = Path(self.translate_path(self.path))
        if _JSON not in self.headers.get("Accept", "") or not (folder / "index.html").is_file():
            super().do_GET()
            return
        files = [_described(path) for path in sorted(folder.iterdir()) if path.name != "index.html"]
        body = json.dumps({"meta": {"api-version": "1.1"}, "name": folder.name, "versions": [], "files": files})
        self.send_response(200)
        self.send_header("Content-Type", _JSON)
        self.end_headers()
        self.wfile.write(body.encode())


def _described(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"filename": path.name, "url": path.name, "size": len(content), "hashes": {"sha256": digest}}


def _files(name: str, version: str, requires: Sequence[str], modules: Mapping[str, str] | None) -> dict[str, str]:
    metadata_folder = f"{_plain(name)}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    files = dict(modules or {f"{_plain(name)}/__init__.py": f"__version__ = {version!r}\n"})
    files[f"{metadata_folder}/METADATA"] = metadata
    files[f"{metadata_folder}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(f"{each},{_digest(text)},{len(text.encode())}\n" for each, text in files.items())
    files[f"{metadata_folder}/RECORD"] = f"{record}{metadata_folder}/RECORD,,\n"
    return files


def _digest(text: str) -> str:
    """As RECORD has it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def _wheel(files: Mapping[str, str]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return target.getvalue()


def _tar(top: str, files: Mapping[str, str]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return target.getvalue()


def _plain(name: str) -> str:
    return name.replace("-", "_").replace(".", "_")
