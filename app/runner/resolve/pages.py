"""Reads pages of links (PEP 503) as an installer would: with the login of their address or of netrc, within bounds.

Imported only where there is such a page: it takes as long to load as much else together.
"""

from __future__ import annotations

import base64
import contextlib
import netrc
import os
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from http.client import HTTPException
from typing import Dict, List, Mapping, Optional, Tuple
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from app.protocol import amounts
from app.runner.process.within import within

_SECONDS = 15.0
_REACH_SECONDS = 6.0
_PAGE_BYTES = 32 << 20
_MOST_LINKS = 50_000
_ACCEPT = "text/html, application/vnd.pypi.simple.v1+html;q=0.9"
_ATTRIBUTES = ("data-requires-python", "data-yanked", "data-core-metadata", "data-dist-info-metadata")


class PageUnavailable(Exception):
    """A page cannot be read; the message says why in a few words, without the address. `is_missing`: the server says
    that there is none."""

    def __init__(self, why: str, *, is_missing: bool = False) -> None:
        super().__init__(why)
        self.is_missing = is_missing


@dataclass(frozen=True)
class Link:
    """A file that a page leads to. `url`: absolute, with the page's own login where it is on the same host."""

    url: str
    attributes: Tuple[Tuple[str, str], ...] = ()

    @property
    def file(self) -> str:
        """The file's name."""
        return unquote(urlsplit(self.url).path.rsplit("/", 1)[-1])

    @property
    def html(self) -> str:
        """The link, on a page of one's own."""
        more = "".join(' %s="%s"' % (name, escape(value)) for name, value in self.attributes)
        return '<a href="%s"%s>%s</a><br>\n' % (escape(self.url), more, escape(self.file))


def read_links(url: str, *, insecure: bool = False) -> List[Link]:
    """The links of a page. `insecure`: whatever its certificate says. Raises PageUnavailable."""
    place, text = read_page(url, insecure=insecure)
    found = [Link(_with_login(link.url, url), link.attributes) for link in links_in(text, place)]
    return [link for link in found if link.url.startswith(("http://", "https://"))]


def links_in(text: str, place: str) -> List[Link]:
    """The links of a page's text, which lies at `place`. What is no address at all is left out."""
    parser = _Links()
    with contextlib.suppress(AssertionError):  # of what HTML has no word for; the links before it count
        parser.feed(text)
    found = []
    for href, attributes in parser.found:
        with contextlib.suppress(ValueError):
            found.append(Link(urljoin(urljoin(place, parser.base), href.strip()), attributes))
    return found


def read_page(
    url: str, seconds: float = _SECONDS, *, insecure: bool = False, most: int = _PAGE_BYTES
) -> Tuple[str, str]:
    """Where the page really is, and its text: at most `most` bytes, with the login of the address or of netrc. No wait
    for the server is longer than `seconds`, and all of it no longer than four times that. Raises PageUnavailable."""
    try:
        address, login = without_login(url)
        request = urllib.request.Request(address, headers={"Accept": _ACCEPT, "User-Agent": "nodeferry"})  # noqa: S310 - http(s) alone
    except ValueError:
        raise PageUnavailable("it is no address") from None
    login = login or _of_netrc(urlsplit(address).hostname or "")
    if login:
        request.add_unredirected_header("Authorization", "Basic %s" % login)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=_tls(insecure=insecure)))

    def read() -> Tuple[bytes, str]:
        with opener.open(request, timeout=seconds) as response:
            return response.read(most + 1) if most else b"", response.geturl()

    try:
        body, place = within(4 * seconds, read)
    except urllib.error.HTTPError as exc:
        raise PageUnavailable("it answers %d" % exc.code, is_missing=exc.code in (404, 410)) from None
    except (OSError, HTTPException, ValueError) as exc:
        raise PageUnavailable(str(getattr(exc, "reason", exc))[:200]) from None
    if len(body) > max(most, 1):
        raise PageUnavailable("its page is larger than %s" % amounts.size(most))
    return place, body.decode("utf-8", "replace")


def is_reached(url: str) -> bool:
    """Whether a place of packages answers. That it has no page of just this address is an answer; a login that is
    missing or a server in trouble is none that uv could go on with."""
    try:
        read_page(url, _REACH_SECONDS, most=0)
    except PageUnavailable as exc:
        return exc.is_missing
    return True


def without_login(url: str) -> Tuple[str, Optional[str]]:
    """The address alone, and the login in it as HTTP's Basic has it."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None
    user, _, host = parts.netloc.rpartition("@")
    name, _, word = user.partition(":")
    login = base64.b64encode(("%s:%s" % (unquote(name), unquote(word))).encode("utf-8")).decode("ascii")
    return urlunsplit((parts.scheme, host, parts.path, parts.query, "")), login


def _with_login(url: str, page: str) -> str:
    """A link to the page's own host needs its login too."""
    parts, mine = urlsplit(url), urlsplit(page)
    user = mine.netloc.rpartition("@")[0]
    if not user or "@" in parts.netloc or (parts.scheme, parts.netloc) != (mine.scheme, mine.netloc.rpartition("@")[2]):
        return url
    return urlunsplit((parts.scheme, "%s@%s" % (user, parts.netloc), parts.path, parts.query, parts.fragment))


def _tls(*, insecure: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _of_netrc(host: str) -> Optional[str]:
    """What the instance's netrc file has for the host, as uv and pip read it too."""
    try:
        found = netrc.netrc(os.environ.get("NETRC") or os.path.expanduser("~/.netrc")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return base64.b64encode(("%s:%s" % (found[0], found[2])).encode("utf-8")).decode("ascii") if found else None


class _Links(HTMLParser):
    """The links of a page, with what an index says of each file."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.found: List[Tuple[str, Tuple[Tuple[str, str], ...]]] = []

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        """Called by the parser."""
        given: Mapping[str, Optional[str]] = dict(attrs)
        address = given.get("href")
        if tag == "base" and address and not self.base:
            self.base = address
        if tag == "a" and address and len(self.found) < _MOST_LINKS:
            kept: Dict[str, str] = {name: given[name] or "" for name in _ATTRIBUTES if name in given}
            self.found.append((address, tuple(kept.items())))
