"""`options.wheelhouse`: wheels of the user's own, in a folder on the instance or at an address.

At an address there may be a page of links to wheels, or an index (PEP 503): a page of links to pages of packages. Which
it is shows when it is looked at. Either way uv and pip get pages of links (`--find-links`), never one more index: of
several indexes uv takes all versions of a package from the first that has it, so that an older wheel of the
wheelhouse would hide the registry's newer version.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import FrozenSet, Tuple

from app.protocol.wheel_names import is_wheel_name
from app.protocol.wheelhouse_address import BadWheelhouse, check_wheelhouse

_MOST_FILES = 10_000
"""Of a folder, that are looked at."""


class WheelhouseUnavailable(Exception):
    """It cannot be used; the message is a sentence that names it."""


@dataclass(frozen=True)
class Wheelhouse:
    """`given`: as the option has it; `find_links`: the folders and pages that uv and pip look at; `names`: the wheels
    in them, as far as they were seen."""

    given: str
    find_links: Tuple[str, ...]
    names: FrozenSet[str] = frozenset()


def look_at(given: str) -> Wheelhouse:
    """Looks what there is: reads a folder, a page, or an index with its pages, of which eight at once. No page takes
    longer than a minute. Raises WheelhouseUnavailable."""
    try:
        check_wheelhouse(given)
    except BadWheelhouse as exc:
        raise WheelhouseUnavailable(str(exc)) from None
    if "://" not in given:
        return _folder(given)
    from app.runner.resolve.wheelhouse_pages import at_address

    return at_address(given)


def _folder(given: str) -> Wheelhouse:
    folder = Path(os.path.expanduser(given))
    try:
        with os.scandir(str(folder)) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_MOST_FILES))]
    except OSError as exc:
        raise WheelhouseUnavailable(
            "The wheelhouse %s on the instance cannot be read: %s." % (given, exc.strerror)
        ) from None
    return Wheelhouse(given, (folder.as_uri(),), frozenset(filter(is_wheel_name, names)))
