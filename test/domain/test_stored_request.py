"""Requests as records keep them: those of this version, and those that earlier ones wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.domain.address import parse_address
from app.domain.request import InstallRequest, Request, RestartRequest, RollbackRequest
from app.domain.stored_request import read_install, read_options, read_request, store_request
from app.protocol.options import Options

SSH = "ssh -p 12345 root@ssh6.vast.ai"
ADDRESS = parse_address(SSH)
TASK_ID = "550e8400-e29b-41d4-a716-446655440000"
FIRST: dict[str, Any] = {
    "ssh_connection": SSH,
    "ui_home": "/workspace/ComfyUI",
    "venv_path": None,
    "manifest": {"urls": ["https://github.com/o/p"]},
    "options": {"existing": "update", "run_scripts": True, "verify": True, "wait_seconds": 5, "host_key_sha256": None},
    "idempotency_key": None,
}
"""The request of an install as the first release kept it."""
LATER = {**FIRST, "rollback_of": None, "retry_of": TASK_ID, "retry_number": 2, "restart_of": None, "expected": []}
"""As version 1 kept it last."""


@pytest.mark.parametrize(
    "request_",
    [
        InstallRequest(SSH, ADDRESS, "/ComfyUI", manifest={"urls": ["u"]}, options=Options(exact=True), retry_number=1),
        InstallRequest(SSH, ADDRESS, retry_of=TASK_ID),
        RollbackRequest(SSH, ADDRESS, rollback_of=TASK_ID, options=Options(wait_seconds=3)),
        RestartRequest(SSH, ADDRESS, restart_of=TASK_ID, expected=(("One", "one"),), options=Options(restart=True)),
        RestartRequest(SSH, ADDRESS),
    ],
    ids=lambda request: type(request).__name__,
)
def test_what_is_stored_is_read_back(request_: Request) -> None:
    assert read_request(json.loads(json.dumps(store_request(request_)))) == request_


def test_the_first_releases_install() -> None:
    """What it did not know has its default."""
    assert read_request(FIRST) == InstallRequest(
        SSH,
        ADDRESS,
        "/workspace/ComfyUI",
        manifest=FIRST["manifest"],
        options=Options(existing="update", wait_seconds=5),
    )


def test_version_1_install_rollback_and_restart() -> None:
    """The kind is told by the task that is named."""
    install = read_request(LATER)
    assert isinstance(install, InstallRequest)
    assert (install.retry_of, install.retry_number) == (TASK_ID, 2)
    rollback = read_request({**LATER, "rollback_of": TASK_ID, "manifest": {"nodes": []}})
    assert isinstance(rollback, RollbackRequest) and rollback.rollback_of == TASK_ID
    restart = read_request({**LATER, "restart_of": "none", "expected": [["One", "one"]]})
    assert isinstance(restart, RestartRequest)
    assert (restart.restart_of, restart.expected) == (None, (("One", "one"),))


def test_an_earlier_version_finds_its_names() -> None:
    """A service that is put back to version 1 reads them all."""
    for kind in (InstallRequest(SSH, ADDRESS), RollbackRequest(SSH, ADDRESS, rollback_of=TASK_ID)):
        assert set(LATER) <= set(store_request(kind))


def test_names_of_a_later_version_are_ignored() -> None:
    later = {**LATER, "version": 9, "of_the_future": 1, "options": {**FIRST["options"], "of_the_future": True}}
    assert read_request(later) == read_request(LATER)


@pytest.mark.parametrize("change", [{"ssh_connection": "-oProxyCommand=x"}, {"options": {"existing": 3}}])
def test_what_cannot_be_read_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="."):
        read_request({**LATER, **change})


def test_only_an_install_is_a_workflows() -> None:
    assert read_install(LATER) == read_request(LATER)
    with pytest.raises(TypeError):
        read_install({**LATER, "rollback_of": TASK_ID})


@pytest.mark.parametrize("stored", [{}, {"options": None}, {"options": {"require": 3}}, {"options": "no object"}])
def test_options_that_cannot_be_read_are_the_defaults(stored: dict[str, Any]) -> None:
    """A list of tasks is shown with a broken record in it."""
    assert read_options(stored) == Options()
