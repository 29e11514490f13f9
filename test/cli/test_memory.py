"""What a service that runs asks of Python about memory."""

from __future__ import annotations

import subprocess
import sys

from test.support.service import ROOT

PROGRAM = """
import gc, weakref
from app.cli.server import memory
class Kept: pass
kept = Kept()
memory.search_less()
assert gc.get_freeze_count() > 10_000, "what is there is searched"
assert all(each is not kept for each in gc.get_objects()), "what is there is searched"
lost = Kept(); lost.itself = lost; gone = weakref.ref(lost); del lost
many = [Kept() for _ in range(50_000)]
assert gone() is None, "what nobody reaches stays"
"""


def test_what_the_service_is_made_of_is_not_searched_for_garbage() -> None:
    """But what comes later is, once there is much of it."""
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, timeout=60, check=True)
