"""A folder of wheels on this machine, filled from an instance: nothing in it is overwritten, and a fetch that was cut
short goes on where it ended. With its page of links, `python -m http.server` serves it as a wheelhouse."""

from __future__ import annotations

import hashlib
import html
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.cli.errors import CliError
from app.protocol.wheel_names import entry_of, is_wheel_name
from app.small_files import LIST_BYTES, UnusableFile, read_small

PAGE = "index.html"
_MARK = "<!-- wheels exported by Nodeferry -->"
_PART = ".part"


@dataclass(frozen=True, slots=True)
class Offered:
    """A wheel that can be fetched. `own`: built in the task's run."""

    name: str
    bytes: int
    sha256: str
    own: bool


def offered(raw: object) -> Offered | None:
    """The wheel that an entry of the service's list describes; None for what is none: it comes from the instance."""
    found = entry_of(raw)
    return Offered(*found) if found else None


class WheelFolder:
    """For one thread, and one program at a time. Its methods raise CliError, also for what the disk does not let."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder where it is not there."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise CliError(f"The folder {folder} cannot be made: {exc.strerror}.") from exc

    def fetch(self, wheel: Offered, send: Callable[[int], Iterator[bytes]]) -> bool:
        """Brings a wheel here; False where it is here already. `send`: its bytes from an offset on. What has its name
        and is something else stays."""
        target = self._folder / wheel.name
        try:
            if os.path.lexists(target):
                if not target.is_symlink() and target.is_file() and _digest(target) == wheel.sha256:
                    return False
                raise CliError(f"{target} is there and is another file; it was not overwritten.")
            self._fetch(wheel, target, send)
        except OSError as exc:
            raise CliError(f"{wheel.name} cannot be written to {self._folder}: {exc.strerror or exc}.") from exc
        return True

    def _fetch(self, wheel: Offered, target: Path, send: Callable[[int], Iterator[bytes]]) -> None:
        part = target.with_name(f"{wheel.name}.{wheel.sha256[:12]}{_PART}")
        begun = part.stat(follow_symlinks=False).st_size if part.is_file() and not part.is_symlink() else 0
        if not 0 < begun < wheel.bytes:
            part.unlink(missing_ok=True)
            begun = 0
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(part, flags, 0o644), "ab") as file:
            count = begun
            for piece in send(begun):
                count += len(piece)
                if count > wheel.bytes:
                    break
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if count < wheel.bytes:
            raise CliError(
                f"{wheel.name} came only in part.", hint="Run the same command again: it goes on from there."
            )
        if count > wheel.bytes or _digest(part) != wheel.sha256:
            part.unlink()
            raise CliError(f"What came as {wheel.name} is not what the instance said; it was removed.")
        part.replace(target)

    def write_page(self) -> bool:
        """The page of links to all wheels in the folder; False where its place is taken by a page of somebody else."""
        page = self._folder / PAGE
        try:
            if os.path.lexists(page) and (page.is_symlink() or not _is_ours(page)):
                return False
            names = sorted(path.name for path in self._folder.iterdir() if is_wheel_name(path.name) and path.is_file())
            links = "".join(f"<a href={self._link(name)}>{html.escape(name)}</a><br>\n" for name in names)
            text = f"<!doctype html>\n{_MARK}\n<title>Wheels</title>\n{links}"
            part = page.with_name(f"{PAGE}{_PART}")
            part.write_text(text, "utf-8")
            part.replace(page)
        except OSError as exc:
            raise CliError(f"{page} cannot be written: {exc.strerror}.") from exc
        return True

    def _link(self, name: str) -> str:
        return f'"{quote(name)}#sha256={_digest(self._folder / name)}"'


def entries(raw: list[Any], *, everything: bool) -> list[Offered]:
    """What is to be fetched of a list; what was not built in the task's run only with `everything`."""
    return [wheel for wheel in map(offered, raw) if wheel and (wheel.own or everything)]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_ours(page: Path) -> bool:
    try:
        return _MARK.encode() in read_small(page, LIST_BYTES)[:500]
    except UnusableFile:
        return False
