"""How the address of a PostgreSQL is written: SQLAlchemy's way, libpq's (`psql`) or a provider's. Imports no driver."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.domain.database_scheme import with_driver
from app.protocol.snapshot import Problem

ENCODED = "In a password, @ : / ? # and % are written %40 %3A %2F %3F %23 and %25."
_NOT_VALID = Problem(
    "database_unavailable",
    "The address of the database is not valid.",
    "It is like postgresql+psycopg://USER:PASSWORD@HOST:5432/NAME, or sqlite:////home/me/nodeferry/nodeferry.db.",
)
_TWO_ENDS = Problem(
    "database_unavailable",
    "The address of the database has more than one @: it is not clear where the password ends.",
    ENCODED,
)
_HOSTS = re.compile(r"(?P<head>[^:]+://(?:[^@]*@)?)(?P<hosts>[^@/?]*)(?P<rest>.*)", re.DOTALL)
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?")
_SECRETS = frozenset({"password", "sslpassword"})


def read(text: str) -> URL | Problem:
    """The address of a database of any kind; what is wrong with it where it cannot be one."""
    text = with_driver(text)
    is_postgresql = text.startswith("postgresql")
    if is_postgresql and text.count("@") > 1:
        return _TWO_ENDS
    try:
        return _with_hosts(text) if is_postgresql else make_url(text)
    except (ArgumentError, ValueError):  # a port that is no number
        return _NOT_VALID


def place(url: URL) -> str:
    """The address without its secrets, for messages."""
    kept = {name: value for name, value in url.query.items() if name not in _SECRETS}
    return url.set(query=kept).render_as_string(hide_password=True)


def arguments(url: URL) -> dict[str, Any]:
    """libpq's keywords for a connection. An address would not do: libpq reads `options=-c+x`, and several hosts,
    in another way than SQLAlchemy, which writes it."""
    return dict(url.get_dialect()().create_connect_args(url)[1])


def _with_hosts(text: str) -> URL:
    """Also libpq's `a:5432,b:5432`, and `%2Frun%2Fpostgresql` for the folder of a socket."""
    found = _HOSTS.fullmatch(text)
    if not found or not re.search("[,%]", found["hosts"]):
        return make_url(text)
    pairs = [_HOST.fullmatch(each) for each in found["hosts"].split(",")]
    if not all(pairs):
        raise ValueError(found["hosts"])
    hosts = [unquote(pair[1].strip("[]")) for pair in pairs if pair]
    ports = [pair[2] or "5432" for pair in pairs if pair]
    url = make_url(f"{found['head']}{found['rest']}")
    return url.update_query_dict({"host": ",".join(hosts), "port": ",".join(ports)})
