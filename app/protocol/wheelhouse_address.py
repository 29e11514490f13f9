"""What `options.wheelhouse` may be: a folder on the instance, or an address of http or https."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MAX_CHARS = 1000
_PRINTABLE = re.compile(r"^[^\x00-\x1f\x7f]+\Z")
_ADDRESS = re.compile(r"^[\x21-\x7e]+\Z")


class BadWheelhouse(ValueError):
    """It can be no wheelhouse; the message is a sentence, which does not repeat a login."""


def check_wheelhouse(given: str) -> str:
    """`given`, if it can be one. An address has no login, no query and no fragment: what is in an address stands in
    records and is seen by others on the instance, so a login belongs into the instance's `~/.netrc`. Raises
    BadWheelhouse."""
    if not given or len(given) > MAX_CHARS or not _PRINTABLE.match(given):
        raise BadWheelhouse("The wheelhouse is empty, too long, or has characters that no folder or address has.")
    if "://" not in given:
        if not given.startswith(("/", "~/")):
            raise BadWheelhouse("The wheelhouse is neither an http(s) address nor the full path of a folder.")
        return given
    try:
        parts = urlsplit(given)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise BadWheelhouse("The wheelhouse's address cannot be understood.") from None
    if "@" in parts.netloc:
        raise BadWheelhouse("The wheelhouse's address may have no user name or password: put them into ~/.netrc there.")
    if parts.scheme not in ("http", "https") or not host or not _ADDRESS.match(given) or "," in given:
        raise BadWheelhouse("The wheelhouse is neither an http(s) address nor the full path of a folder.")
    if parts.query or parts.fragment:
        raise BadWheelhouse("The wheelhouse's address may have nothing behind a ? or #.")
    return given
