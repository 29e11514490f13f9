"""The `packaging` library is imported when it is first needed, from several threads."""

from __future__ import annotations

import threading

ONE_AT_A_TIME = threading.RLock()
"""Held while it is imported: before 3.10 Python shows one thread the half of a module that another is still loading
from a zipapp."""
