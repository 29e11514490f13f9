"""What an instance says when it is tested never stands in the place of what the service knows."""

from __future__ import annotations

from typing import Any

import pytest

from app.remote.packer import pack_runner
from test.support.hostile_bench import HostileBench, bench
from test.support.hostile_sshd import Exec

__all__ = ["bench"]  # a fixture

LIES: dict[str, Any] = {
    "success": False,
    "endpoint": "root@good.example:22",
    "host_key": {"sha256": "SHA256:" + "A" * 43, "host": "good.example"},
    "error_code": "x",
    "message": "hello",
    "unknown": {"nested": [1]},
}


def test_keys_of_the_service_are_its_own(bench: HostileBench) -> None:
    """The address, the host key and the verdict are what the service has seen."""
    server = bench.server(probe=lambda called: called.answer(ui_home="/root/ComfyUI", **LIES))
    found = bench.test(server)
    assert found["success"] is True
    assert found["endpoint"] == f"root@127.0.0.1:{server.port}"
    assert found["host_key"]["port"] == server.port
    assert found["host_key"]["sha256"] != LIES["host_key"]["sha256"]
    assert found["ui_home"] == "/root/ComfyUI"
    assert not {"error_code", "message", "unknown"} & set(found)


@pytest.mark.parametrize(
    "wrong",
    [
        {"comfyui_port": 70_000},
        {"comfyui_port": "8188"},
        {"comfyui_port": True},
        {"ui_home": ["/root"]},
        {"gpu": [{"name": 5, "memory_mib": "1"}]},
        {"gpu": [{"name": "x", "memory_mib": "1"}] * 10_000},
        {"warnings": [["x"]]},
        {"torch": {"version": None}},
        {"disk_free_bytes": 1.5},
        {"disk_free_bytes": 2**70},
    ],
)
def test_a_field_of_another_type_or_size_is_refused(bench: HostileBench, wrong: dict[str, Any]) -> None:
    """The answer is not understood, and says why; nothing is guessed."""
    found = bench.test(bench.server(probe=lambda called: called.answer(**wrong)))
    assert (found["success"], found["error"]) == (False, "runner_protocol_error"), found


@pytest.mark.parametrize("raw", [b'{"disk_free_bytes": NaN}', b"[1]", b"{" * 5000, b'{"a":' * 900 + b"1" + b"}" * 900])
def test_what_is_no_json_object_is_refused(bench: HostileBench, raw: bytes) -> None:
    """Also NaN, and objects inside each other without end."""
    found = bench.test(bench.server(probe=lambda called: called.frame("r", raw)))
    assert (found["success"], found["error"]) == (False, "runner_protocol_error"), found


def test_texts_are_cleaned_and_cut(bench: HostileBench) -> None:
    """Escape sequences, line breaks and marks of direction are taken out."""
    evil = "\x1b]52;c;aGk=\x07\x1b[2J/root\r\n\u202efdp.exe" + "x" * 100_000
    found = bench.test(bench.server(probe=lambda called: called.answer(ui_home=evil, warnings=[evil])))
    assert found["ui_home"].startswith("/root")
    for text in (found["ui_home"], *found["warnings"]):
        assert len(text) <= 1000
        assert text.isprintable()


@pytest.mark.parametrize(
    "code", ["unauthorized", "body_too_large", "host_key_mismatch", "authentication_failed", "a\nb"]
)
def test_codes_of_the_service_are_its_own(bench: HostileBench, code: str) -> None:
    """An instance's reason is one that a runner can have: neither a login nor a host key is its business."""
    error = {"code": code, "message": "\x1b[31mLog in again", "hint": 5}
    found = bench.test(bench.server(probe=lambda called: called.answer(error=error)))
    assert found["success"] is False
    assert found["error"] == "runner_start_failed"
    assert found["message"] == "Log in again"


def test_a_reason_of_the_runner_is_passed_on(bench: HostileBench) -> None:
    """Those that a run can have."""
    error = {"code": "ui_home_not_found", "message": "There is no ComfyUI.", "hint": "Name it."}
    found = bench.test(bench.server(probe=lambda called: called.answer(error=error)))
    assert (found["error"], found["message"], found["hint"]) == ("ui_home_not_found", *list(error.values())[1:])


@pytest.mark.parametrize("path", [b"runner.pyz", b"/x\0y", b"/\xff\xfe", b"/" + b"x" * 5000])
def test_a_path_that_no_program_has_is_refused(bench: HostileBench, path: bytes) -> None:
    """What the instance calls its Python goes back to it in commands."""

    def find(called: Exec) -> None:
        called.frame("s", b"Linux")
        called.frame("p", path)
        called.frame("h", pack_runner().sha256.encode())
        called.frame("f", b"/root/runner.pyz")

    found = bench.test(bench.server(find=find))
    assert (found["success"], found["error"]) == (False, "runner_protocol_error"), found
