"""The contract of HostKeyPins, held by the database's and by the one in memory."""

from __future__ import annotations

import base64
from dataclasses import asdict, replace

import pytest
from sqlalchemy import insert

from app.domain.hostkeys import HostKey, HostKeyPins, fingerprint_of
from app.storage import DatabasePins, open_database
from app.storage.schema import host_keys
from app.storage.transactions import writing
from test.support.memory_pins import MemoryPins


@pytest.fixture(params=["memory", "database"])
def pins(request: pytest.FixtureRequest) -> HostKeyPins:
    if request.param == "memory":
        return MemoryPins()
    return DatabasePins(request.getfixturevalue("engine"))


def key(name: str, *, host: str = "ssh6.vast.ai", port: int = 12345, key_type: str = "ssh-ed25519") -> HostKey:
    key_base64 = base64.b64encode(name.encode()).decode()
    return HostKey(host, port, key_type, key_base64, fingerprint_of(key_base64), 1234567890.5, "accepted")


def put(pins: HostKeyPins, *keys: HostKey) -> None:
    """Several for one address."""
    if isinstance(pins, MemoryPins):
        pins.has_from_before(*keys)
        return
    assert isinstance(pins, DatabasePins)
    with writing(pins._engine) as connection:
        connection.execute(insert(host_keys), [asdict(each) for each in keys])


def test_a_pinned_key_is_found_as_it_was(pins: HostKeyPins) -> None:
    pins.add_first(key("a"))
    assert pins.find("ssh6.vast.ai", 12345) == [key("a")]


def test_nothing_is_pinned_at_first(pins: HostKeyPins) -> None:
    assert pins.find("ssh6.vast.ai", 12345) == []
    assert pins.all() == []
    assert pins.forget("ssh6.vast.ai", 12345) == 0


def test_a_key_belongs_to_its_host_and_port_only(pins: HostKeyPins) -> None:
    pins.add_first(key("a"))
    assert pins.find("ssh6.vast.ai", 12346) == []
    assert pins.find("ssh7.vast.ai", 12345) == []
    assert pins.find("SSH6.vast.ai", 12345) == []


def test_an_address_may_have_several_keys_oldest_first(pins: HostKeyPins) -> None:
    """Earlier versions pinned several."""
    added = [key("z"), key("a"), key("a", key_type="ssh-rsa"), key("m", host="other"), key("b")]
    put(pins, *added)
    assert pins.find("ssh6.vast.ai", 12345) == [each for each in added if each.host != "other"]
    assert pins.all() == added


def test_a_key_that_is_pinned_already_stays_as_it_is(pins: HostKeyPins) -> None:
    pins.add_first(key("a"))
    assert pins.add_first(replace(key("a"), added_at=9.0, source="scan")) == [key("a")]
    assert pins.add_first(key("b")) == [key("a")] == pins.all()


def test_forgetting_takes_every_key_of_the_address_and_no_other(pins: HostKeyPins) -> None:
    put(pins, key("a"), key("b"), key("a", port=22), key("a", host="other"))
    assert pins.forget("ssh6.vast.ai", 12345) == 2
    assert pins.all() == [key("a", port=22), key("a", host="other")]
    pins.add_first(key("a"))
    assert pins.find("ssh6.vast.ai", 12345) == [key("a")]


def test_an_answer_is_the_callers_own(pins: HostKeyPins) -> None:
    pins.add_first(key("a"))
    pins.all().clear()
    pins.find("ssh6.vast.ai", 12345).clear()
    assert pins.all() == [key("a")]


def test_pins_outlive_the_service(database_url: str) -> None:
    first = open_database(database_url)
    DatabasePins(first).add_first(key("a"))
    first.dispose()
    second = open_database(database_url)
    assert DatabasePins(second).all() == [key("a")]
    second.dispose()
