"""Packages as installers, systems, interrupted runs and hands have left them in environments: whole and broken ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

NOT_PEP_440 = ("1.1build1", "0.1.43ubuntu1", "2.0-custom", "unknown")
_LONG = "\n" + "A line of a long description.\n" * 180_000


@dataclass(frozen=True)
class Odd:
    """A kind of package. `plant`: puts one of a name into a folder; `version`: as it counts, None where it is none."""

    kind: str
    plant: Callable[[Path, str], None]
    version: str | None

    @property
    def package(self) -> str:
        """A name for one of this kind."""
        return "odd-" + "".join(each if each.isalnum() else "-" for each in self.kind.lower()).strip("-")


def put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def head(name: str, version: str, *more: str) -> str:
    return "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *more, ""])


def wheel(
    version: str = "1.0",
    *,
    about: str = "",
    metadata: str | bytes | None = "",
    lines: tuple[str, ...] = (),
    files: Mapping[str, str | bytes | None] | None = None,
) -> Callable[[Path, str], None]:
    """A package as pip installs it. `about`: its metadata folder's name, NAME filled in; `metadata`: instead of
    the right one, None for no file; `lines`: more of its head; `files`: more in that folder, None for none."""

    def plant(site: Path, name: str) -> None:
        module = name.replace("-", "_")
        folder = site / (about.replace("NAME", module) or f"{module}-{version}.dist-info")
        content: dict[str, str | bytes | None] = {
            "METADATA": head(name, version, *lines) if metadata == "" else metadata,
            "INSTALLER": "pip\n",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            **(files or {}),
        }
        names = [f"{module}/__init__.py", *(f"{folder.name}/{each}" for each, text in content.items() if text)]
        record = "".join(f"{each},,\n" for each in [*names, f"{folder.name}/RECORD"])
        put(site / module / "__init__.py", f"__version__ = {version!r}\n")
        for each, text in {"RECORD": record, **content}.items():
            folder.mkdir(exist_ok=True)
            if text is not None:
                put(folder / each, text)

    return plant


def egg(version: str = "1.0", *, in_file: bool = False, named: str = "") -> Callable[[Path, str], None]:
    """A package as `setup.py install` and Debian leave it. `named`: its metadata's own name, NAME filled in."""

    def plant(site: Path, name: str) -> None:
        module = name.replace("-", "_")
        about = site / (named.replace("NAME", module) or f"{module}-{version}.egg-info")
        put(site / module / "__init__.py", f"__version__ = {version!r}\n")
        put(about if in_file else about / "PKG-INFO", head(name, version))
        if not in_file:
            put(about / "top_level.txt", f"{module}\n")

    return plant


def both(*plants: Callable[[Path, str], None]) -> Callable[[Path, str], None]:
    """Several in one folder, the last one's module."""

    def plant(site: Path, name: str) -> None:
        for each in plants:
            each(site, name)

    return plant


def from_elsewhere(direct_url: object, version: str = "1.0") -> Callable[[Path, str], None]:
    """A package that did not come from an index."""
    text = direct_url if isinstance(direct_url, str) else json.dumps(direct_url)
    return wheel(version, files={"direct_url.json": text})


def _editable(site: Path, name: str) -> None:
    module, source = name.replace("-", "_"), site.parent / f"src-{name}"
    put(source / module / "__init__.py", "__version__ = 'source'\n")
    from_elsewhere({"dir_info": {"editable": True}, "url": source.as_uri()})(site, name)
    (site / module / "__init__.py").unlink()
    (site / module).rmdir()
    put(site / f"__editable__.{module}-1.0.pth", f"{source}\n")
    put(site / f"{module}-1.0.dist-info" / "RECORD", f"__editable__.{module}-1.0.pth,,\n")


def _egg_link(version: str) -> Callable[[Path, str], None]:
    def plant(site: Path, name: str) -> None:
        module, source = name.replace("-", "_"), site.parent / f"src-{name}"
        put(source / module / "__init__.py", "__version__ = 'source'\n")
        put(source / f"{module}.egg-info" / "PKG-INFO", head(name, version))
        put(site / f"{name}.egg-link", f"{source}\n.\n")
        links = site / "easy-install.pth"
        put(links, (links.read_text() if links.exists() else "") + f"{source}\n")

    return plant


def _broken_link(site: Path, name: str) -> None:
    os.symlink("/nowhere/of/anybody", site / f"{name.replace('-', '_')}-1.0.dist-info")


def _pipe(site: Path, name: str) -> None:
    wheel(metadata=None)(site, name)
    os.mkfifo(site / f"{name.replace('-', '_')}-1.0.dist-info" / "METADATA")


def _half_written(site: Path, name: str) -> None:
    put(site / f"{name.replace('-', '_')}-1.0.dist-info" / "INSTALLERxne2hz8x.tmp", "pip\n")


VERSIONS = (
    *(Odd(f"wheel-{version}", wheel(version), version) for version in NOT_PEP_440),
    *(Odd(f"egg-{version}", egg(version), version) for version in NOT_PEP_440),
    *(Odd(f"egg-file-{version}", egg(version, in_file=True), version) for version in NOT_PEP_440),
    Odd("empty-version", wheel(""), "unknown"),
    Odd("release-candidate", wheel("2.37.0-rc"), "2.37.0-rc"),
    Odd("folder-alone-is-odd", wheel("1.0", about="NAME-1.0build1.dist-info"), "1.0"),
    Odd("metadata-alone-is-odd", wheel("1.0build1", about="NAME-1.0.dist-info"), "1.0build1"),
    Odd(
        "local-version-in-folder",
        wheel("4.25.3.post1+own.87", about="NAME-4.25.3.post1_own.87.dist-info"),
        "4.25.3.post1+own.87",
    ),
    Odd("egg-of-one-python", egg("7.45.1", named="NAME-7.45.1-py3.11.egg-info"), "7.45.1"),
    Odd("folder-is-older", wheel("2.5", about="NAME-1.0.dist-info"), "2.5"),
    Odd("egg-without-version", egg(named="NAME.egg-info"), "1.0"),
    Odd("egg-file-without-version", egg(named="NAME.egg-info", in_file=True), "1.0"),
)
METADATA = (
    Odd("no-metadata", wheel(metadata=None), "1.0"),
    Odd("empty-metadata", wheel(metadata="\n"), "1.0"),
    Odd("binary-metadata", wheel(metadata=bytes(range(256)) * 4), "1.0"),
    Odd("latin-1", wheel(metadata=head("odd-latin-1", "1.0", "Author: J\xf6rg").encode("latin-1")), "1.0"),
    Odd("byte-order-mark", wheel(metadata="\ufeff" + head("odd-byte-order-mark", "1.0")), "1.0"),
    Odd("carriage-returns", wheel(metadata=head("odd-carriage-returns", "1.0").replace("\n", "\r\n")), "1.0"),
    Odd("long-description", wheel(metadata=head("odd-long-description", "1.0") + _LONG), "1.0"),
    Odd("no-name", wheel(metadata="Metadata-Version: 2.1\nVersion: 1.0\n"), "1.0"),
    Odd("no-version", wheel(metadata="Metadata-Version: 2.1\nName: odd-no-version\n"), "1.0"),
    Odd("name-is-none", wheel(metadata=head("-odd-", "1.0")), "1.0"),
    Odd("a-pipe", _pipe, "1.0"),
    Odd("only-installer", wheel(metadata=None, files={"RECORD": None}), None),
    Odd("empty-folder", lambda site, name: (site / f"{name.replace('-', '_')}-1.0.dist-info").mkdir(), None),
    Odd("a-file", lambda site, name: put(site / f"{name.replace('-', '_')}-1.0.dist-info", "x"), None),
    Odd("broken-link", _broken_link, None),
    Odd("no-record", wheel(files={"RECORD": None}), "1.0"),
    Odd("empty-record", wheel(files={"RECORD": ""}), "1.0"),
    Odd("garbled-record", wheel(files={"RECORD": b'\xff\xfe\0"odd,,\n,\n'}), "1.0"),
)
_LINES = (
    "kept (>=1.0.*)",
    "kept>dev",
    'kept; python_version >= "2.7" or',
    '; python_version >= "2.7" or',
    "kept>=1.0 ; python_version >= 3",
    "kept ~= 1",
    "kept>=1.0-custom",
    "kept=1.0",
    "-e .",
    "kept @ git+https://gone.example/kept.git",
    "gone @ https://gone.example/gone-1.0.tar.gz",
    "gone @ ./relative",
)
REQUIRES = (
    *(Odd(f"requires-{n}", wheel(lines=(f"Requires-Dist: {line}",)), "1.0") for n, line in enumerate(_LINES)),
    Odd("requires-python-3", wheel(lines=("Requires-Python: >=3.",)), "1.0"),
    Odd("requires-python", wheel(lines=("Requires-Python: >=3.6,*",)), "1.0"),
    Odd("another-system", wheel(files={"WHEEL": "Wheel-Version: 1.0\nTag: cp27-cp27m-win32\n"}), "1.0"),
)
ORIGINS = (
    Odd("editable", _editable, "1.0"),
    Odd("egg-link", _egg_link("1.0"), "1.0"),
    Odd("gone-wheel", from_elsewhere({"url": "file:///gone-1.0-py3-none-any.whl", "archive_info": {}}), "1.0"),
    Odd("conda", from_elsewhere({"url": "file:///croot/odd_17/work", "dir_info": {}}), "1.0"),
    Odd("private", wheel("3.2"), "3.2"),
)
UNREADABLE = (
    Odd("garbled-origin", from_elsewhere("{no"), "1.0"),
    Odd("origin-of-nowhere", from_elsewhere({"url": 5, "dir_info": {}}), "1.0"),
    Odd("garbled-cache", wheel(files={"uv_cache.json": "{x"}), "1.0"),
    Odd("egg-link-odd", _egg_link("1.0build1"), "1.0build1"),
    Odd("no-name-at-all", wheel(about="odd name!-1.0.dist-info", metadata=head("odd name!", "1.0")), None),
)
LEFTOVERS = (
    Odd("leftover", wheel("0.9", about="~AME-0.9.dist-info"), None),
    Odd("old-leftover", wheel("0.9", about="-AME-0.9.dist-info"), None),
    Odd("leftover-beside", both(wheel("0.9", about="~AMEbeside-0.9.dist-info"), wheel("1.0")), "1.0"),
    Odd("half-written-beside", both(_half_written, wheel("2.0")), "2.0"),
    Odd("two", both(wheel("1.9"), wheel("1.10")), "1.10"),
    Odd("two-one-odd", both(wheel("0.9build1"), wheel("1.0")), "1.0"),
    Odd("two-an-egg", both(egg("0.9"), wheel("1.0")), "1.0"),
)
KINDS = {
    "versions": VERSIONS,
    "metadata": METADATA,
    "requires": REQUIRES,
    "origins": ORIGINS,
    "unreadable": UNREADABLE,
    "leftovers": LEFTOVERS,
}
