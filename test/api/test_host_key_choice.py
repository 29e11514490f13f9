"""A person decides about a machine's host key: what is trusted is the key that was shown, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from app.standin.instance import StandIn
from test.api.client import Api, content

pytestmark = pytest.mark.sshd


def look(api: Api, standin: StandIn, **more: object) -> dict[str, Any]:
    asked = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home), "first_contact": "ask"}
    return content(api.post("/ssh/test", asked | more))


def accept(api: Api, standin: StandIn, sha256: str) -> tuple[int, dict[str, Any]]:
    answer = api.post("/host-keys/accept", {"ssh_connection": standin.ssh_command, "sha256": sha256})
    return answer.status_code, content(answer)


def pinned(api: Api) -> list[str]:
    return [key["sha256"] for key in content(api.get("/host-keys"))["host_keys"]]


def another_key(standin: StandIn) -> None:
    standin.stop_sshd()
    standin.change_host_key()
    standin.start_sshd()


def test_a_new_machine_is_asked_about_and_trusted_by_its_fingerprint(api: Api, standin: StandIn) -> None:
    """Nothing is pinned, and nobody is logged in, before a person has said so."""
    asked = look(api, standin)
    assert (asked["success"], asked["error"]) == (False, "host_key_unknown")
    assert asked["host_key"]["sha256"] == standin.host_key_sha256
    assert asked["known_host_keys"] == []
    assert pinned(api) == []
    status, accepted = accept(api, standin, asked["host_key"]["sha256"])
    assert (status, accepted["host_key"]["source"]) == (200, "accepted")
    assert look(api, standin)["success"] is True


def test_a_key_that_changes_between_showing_and_accepting_is_not_trusted(api: Api, standin: StandIn) -> None:
    """At first contact and later: 409, nothing is pinned, and the next look shows the key that is there then."""
    first = look(api, standin)["host_key"]["sha256"]
    another_key(standin)
    status, refused = accept(api, standin, first)
    assert (status, refused["error"], refused["field"]) == (409, "host_key_mismatch", "sha256")
    assert pinned(api) == []
    second = look(api, standin)
    assert (second["error"], second["host_key"]["sha256"]) == ("host_key_unknown", standin.host_key_sha256)
    assert accept(api, standin, standin.host_key_sha256)[0] == 200
    another_key(standin)
    third = look(api, standin)["host_key"]["sha256"]
    another_key(standin)
    assert accept(api, standin, third)[0] == 409
    assert pinned(api) == [second["host_key"]["sha256"]]


def test_a_changed_key_is_shown_beside_the_older_one_with_its_date(api: Api, standin: StandIn) -> None:
    """The question says since when the other one was known; what comes after the answer is asked about again."""
    assert look(api, standin, first_contact="accept")["success"] is True
    older = standin.host_key_sha256
    another_key(standin)
    changed = look(api, standin)
    assert changed["error"] == "host_key_mismatch"
    assert changed["host_key"]["sha256"] == standin.host_key_sha256
    [known] = changed["known_host_keys"]
    assert (known["sha256"], known["added_at"] is not None) == (older, True)
    assert accept(api, standin, changed["host_key"]["sha256"])[0] == 200
    assert pinned(api) == [standin.host_key_sha256]
    another_key(standin)
    assert look(api, standin)["error"] == "host_key_mismatch"


def test_several_comfyuis_are_listed_to_choose_from(api: Api, standin: StandIn) -> None:
    """Where none of them is the likelier one, the test fails with their folders; any of them can be named."""
    homes = [standin.home / "ComfyUI", standin.home / "comfy" / "ComfyUI"]
    for home in homes:
        (home / "custom_nodes").mkdir(parents=True)
        (home / "main.py").touch()
        (home / "comfyui_version.py").write_text('# made by a build\n__version__ = "0.3.60"\n')
    several = look(api, standin, first_contact="accept", ui_home=None)
    assert several["error"] == "ui_home_ambiguous", several
    assert [each["path"] for each in several["ui_homes"]] == [str(home) for home in homes]
    chosen = look(api, standin, ui_home=str(homes[1]))
    assert (chosen["ui_home"], chosen["comfyui_version"]) == (str(homes[1]), "0.3.60")
    assert len(chosen["ui_homes"]) == 2
