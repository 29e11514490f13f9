"""What keeps a service from starting on a history that was moved to a PostgreSQL: a file beside the old one."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import make_url

from app.protocol.terminal_text import one_line
from app.storage.errors import StorageError


def mark_as_moved(url: str, place: str) -> None:
    """A service that was started on the old history would follow the same installs as the new one: none starts."""
    mark = _mark(url)
    mark.touch(mode=0o600)
    mark.write_text(f"{place}\n", "utf-8")


def check_not_moved(url: str) -> None:
    """Raises StorageError for a SQLite history that was moved to a PostgreSQL."""
    if not url.startswith("sqlite") or not _mark(url).exists():
        return
    where = one_line(_mark(url).read_text("utf-8", "replace").strip())[:300]
    raise StorageError(
        f"The history in {make_url(url).database} was moved to {where}.",
        hint=f"Set NODEFERRY_DATABASE_URL to that. To go on with the old history all the same, remove {_mark(url)}.",
        code="database_unavailable",
    )


def _mark(url: str) -> Path:
    return Path(f"{make_url(url).database}.moved")
