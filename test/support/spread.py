"""Which process of a parallel run gets which tests."""

from __future__ import annotations

from functools import cache
from itertools import islice, takewhile
from pathlib import Path

from xdist.scheduler import LoadScheduling
from xdist.workermanage import WorkerController

SHARED = ('scope="module"', 'scope="package"')
_LEAST = 2
"""A process begins a test when it knows the next one."""
_ROOT = Path(__file__).parents[2]


class Together(LoadScheduling):  # type: ignore[misc]  # untyped
    """As `--dist load` with `--maxschedchunk`, but tests of a module that shares what is costly to make go to one
    process: to four it would be made four times."""

    def _send_tests(self, node: WorkerController, num: int) -> None:
        """Until it asks again a process has the least that it can: none sits on tests while another has none."""
        count = 0
        while len(self.node2pending[node]) < _LEAST and count < min(num, len(self.pending)):
            count += self._in_one(count)
        super()._send_tests(node, count)

    def _in_one(self, begin: int) -> int:
        """How many of the tests from there on belong together."""
        assert self.collection is not None
        files = (self.collection[number].partition("::")[0] for number in islice(self.pending, begin, None))
        first = next(files)
        return 1 + sum(1 for _ in takewhile(lambda file: file == first, files)) if shares(first) else 1


@cache
def shares(file: str) -> bool:
    """Whether a module has a fixture for all of its tests, of its own or of its folder's."""
    path = _ROOT / file
    texts = (each.read_text("utf-8") for each in (path, path.with_name("conftest.py")) if each.exists())
    return any(scope in text for text in texts for scope in SHARED)
