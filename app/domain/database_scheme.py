"""The schemes that addresses of a PostgreSQL begin with, and the one that Nodeferry uses."""

from __future__ import annotations

import re

_POSTGRESQL = re.compile(r"\s*(?:jdbc:)?(?:postgres(?:ql)?|pgsql)(?:\+\w+)?://", re.IGNORECASE)


def with_driver(text: str) -> str:
    """The address with the driver that is there, whatever a provider or another program has in its place
    (`postgres://`, `postgresql+asyncpg://`). Any other text stays."""
    return _POSTGRESQL.sub("postgresql+psycopg://", text.strip(), count=1) if _POSTGRESQL.match(text) else text.strip()
