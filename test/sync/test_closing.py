"""A service that was told to end: nothing new is taken, polls are answered."""

from __future__ import annotations

import pytest

from app.domain.address import parse_address
from app.domain.errors import ServiceClosing
from app.domain.request import InstallRequest
from app.storage import InstallStore
from app.sync.http.services import response_of
from test.sync.conftest import Bench

MANIFEST = {"urls": ["https://github.com/owner/pack"]}


def test_starts_and_cancels_are_refused_and_polls_are_answered(bench: Bench) -> None:
    """Neither would be heard any more; nothing is stored of what was refused."""
    address = "root@127.0.0.1 -p 1"
    request = InstallRequest(address, parse_address(address), manifest=MANIFEST)
    task_id = bench.installs.start(request).task_id
    bench.service.release(2)
    with pytest.raises(ServiceClosing):
        bench.installs.start(request)
    with pytest.raises(ServiceClosing):
        bench.installs.cancel(task_id)
    assert bench.installs.progress(task_id)["in_progress"]
    assert [record.task_id for record in InstallStore(bench.service.engine).list()] == [task_id]


def test_the_refusal_says_when_to_try_again() -> None:
    answer = response_of(ServiceClosing())
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
