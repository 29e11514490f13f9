"""Looking at an instance, and its host keys."""

from __future__ import annotations

import pytest

from app.standin.instance import StandIn
from test.api.client import Api, closed_address, content
from test.api.test_docs import examples, section

FINGERPRINT = "SHA256:" + "A" * 43


class TestWithoutAnInstance:
    def test_one_that_is_not_there_is_an_answer(self, api: Api) -> None:
        """The test did its work: the instance failed, not the request."""
        answer = api.post("/ssh/test", {"ssh_connection": closed_address(), "timeout_seconds": 1})
        assert answer.status_code == 200
        assert content(answer)["success"] is False
        assert content(answer)["error"] == "connect_failed"

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"ssh_connection": None}, "ssh_connection"),
            ({"ui_home": "x"}, "ui_home"),
            ({"host_key_sha256": "x"}, "host_key_sha256"),
            ({"timeout_seconds": 0}, "timeout_seconds"),
            ({"timeout_seconds": 121}, "timeout_seconds"),
            ({"options": {}}, "options"),
        ],
    )
    def test_a_request_that_cannot_be_is_refused(self, idle: Api, fields: dict[str, object], field: str) -> None:
        refused = idle.post("/ssh/test", {"ssh_connection": "root@127.0.0.1 -p 9"} | fields)
        assert (refused.status_code, content(refused)["field"]) == (400, field)

    def test_no_key_is_known_at_first(self, idle: Api) -> None:
        assert content(idle.get("/host-keys")) == {"success": True, "host_keys": []}

    def test_a_key_cannot_be_accepted_of_an_instance_that_is_not_there(self, api: Api) -> None:
        """Whoever looks at the status alone must not take the key for accepted."""
        refused = api.post("/host-keys/accept", {"ssh_connection": closed_address(), "sha256": FINGERPRINT})
        assert (refused.status_code, content(refused)["error"]) == (409, "connect_failed")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"ssh_connection": "root@127.0.0.1"}, "sha256"),
            ({"ssh_connection": "root@127.0.0.1", "sha256": ""}, "sha256"),
            ({"ssh_connection": "root@127.0.0.1", "sha256": None}, "sha256"),
            ({"sha256": FINGERPRINT}, "ssh_connection"),
        ],
    )
    def test_a_key_is_accepted_by_its_fingerprint_only(self, idle: Api, body: dict[str, object], field: str) -> None:
        refused = idle.post("/host-keys/accept", body)
        assert (refused.status_code, content(refused)["field"]) == (400, field)

    @pytest.mark.parametrize("address", ["host:22", "[2001:db8::1]:22", "2001:db8::1:22", "%5B2001:db8::1%5D:22"])
    def test_forgetting_an_unknown_key_is_not_found(self, idle: Api, address: str) -> None:
        assert idle.send("DELETE", f"/host-keys/{address}").status_code == 404

    @pytest.mark.parametrize(
        "address", ["host", "host:", ":22", "host:0", "host:65536", "host:x", "[]:22", "host:%D9%A1"]
    )
    def test_an_address_that_is_none_is_refused(self, idle: Api, address: str) -> None:
        refused = idle.send("DELETE", f"/host-keys/{address}")
        assert (refused.status_code, content(refused)["field"]) == (400, "address")


@pytest.mark.sshd
class TestWithAnInstance:
    def test_it_is_looked_at_and_its_key_pinned_forgotten_and_accepted(self, api: Api, standin: StandIn) -> None:
        """What a person does when a machine's key has changed."""
        request = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home)}
        found = content(api.post("/ssh/test", request))
        assert found["success"] is True, found
        assert found["ui_home"] == str(standin.ui_home)
        example = examples(section("POST /ssh/test"))[0]
        assert set(example) == set(found)
        [pinned] = content(api.get("/host-keys"))["host_keys"]
        address = f"/host-keys/{pinned['host']}:{pinned['port']}"
        assert pinned["port"] == standin.port
        assert content(api.send("DELETE", address))["forgotten"] == 1
        assert content(api.get("/host-keys"))["host_keys"] == []
        wrong = {"ssh_connection": standin.ssh_command, "sha256": FINGERPRINT}
        refused = api.post("/host-keys/accept", wrong)
        assert (refused.status_code, content(refused)["error"]) == (409, "host_key_mismatch")
        accepted = api.post("/host-keys/accept", wrong | {"sha256": pinned["sha256"]})
        assert content(accepted)["host_key"]["sha256"] == pinned["sha256"]
        assert len(content(api.get("/host-keys"))["host_keys"]) == 1
