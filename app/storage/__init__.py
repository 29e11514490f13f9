"""The service's memory: the database of installs and host keys, and progress files."""

from __future__ import annotations

from app.storage.database import open_database
from app.storage.errors import StorageError
from app.storage.install_store import InstallStore
from app.storage.lease import Leases
from app.storage.pins import DatabasePins
from app.storage.progress_files import ProgressFiles

__all__ = ["DatabasePins", "InstallStore", "Leases", "ProgressFiles", "StorageError", "open_database"]
