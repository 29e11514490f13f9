"""Reads the pages of a wheelhouse that is an address. Imported only where there is one: it takes as long to load as
much else together."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import FrozenSet, Sequence, Tuple

from app.protocol.wheel_names import is_wheel_name
from app.runner.resolve.pages import Link, PageUnavailable, links_in, read_page
from app.runner.resolve.wheelhouse import Wheelhouse, WheelhouseUnavailable

_PAGE_BYTES = 4 << 20
_MOST_PACKAGES = 200
"""Each page of a package is one more request of each resolution."""
_AT_ONCE = 8
_log = logging.getLogger("runner")


def at_address(given: str) -> Wheelhouse:
    """A page of links to wheels, or an index with its pages, of which eight are read at once. Raises
    WheelhouseUnavailable."""
    url, page = _read(given)
    base = url if url.endswith("/") else url + "/"
    links = links_in(page, base)
    names = _wheels(links)
    if names or not links:
        return Wheelhouse(given, (given,), names)
    pages = list(dict.fromkeys(link.url for link in links))
    pages = [each for each in pages if each.startswith(base) and each != base]
    if len(pages) > _MOST_PACKAGES:
        text = "The wheelhouse %s lists %d packages; at most %d can be looked at."
        raise WheelhouseUnavailable(text % (given, len(pages), _MOST_PACKAGES))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        inside = dict(zip(pages, pool.map(_names_on, pages)))
    usable = {page: found for page, found in inside.items() if found}
    return Wheelhouse(given, tuple(usable) or (given,), frozenset(name for found in usable.values() for name in found))


def _names_on(page: str) -> FrozenSet[str]:
    """The wheels that a page of a package has; none where it cannot be read, for which uv would give up altogether."""
    try:
        return _wheels(links_in(_read(page)[1], page))
    except WheelhouseUnavailable as exc:
        _log.warning("%s", exc)
        return frozenset()


def _wheels(links: Sequence[Link]) -> FrozenSet[str]:
    return frozenset(link.file for link in links if is_wheel_name(link.file))


def _read(given: str) -> Tuple[str, str]:
    """Where the page really is, and its text. Raises WheelhouseUnavailable."""
    try:
        return read_page(given, most=_PAGE_BYTES)
    except PageUnavailable as exc:
        raise WheelhouseUnavailable("The wheelhouse %s cannot be used: %s." % (given, exc)) from None
