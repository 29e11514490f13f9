"""Who is let in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import AppError
from app.settings import InvalidSetting, Settings
from app.sync.access import Access
from app.sync.http import guards
from test.api.client import START, Api, content, service_in

TOKEN = "a long random text"
Refusal = Callable[..., AppError | None]
LONG = "a long random text, long enough"
ALLOWED = ("gpu-desk.local", "2001:db8::5")


@pytest.fixture
def refusal(tmp_path: Path) -> Refusal:
    """What a service with these settings says to headers."""

    def refused(method: str, path: str, headers: dict[str, str], **settings: Any) -> AppError | None:
        return guards.refusal(method, path, headers, Access(Settings(data_dir=tmp_path, **settings)))

    return refused


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Api]:
    """A service that has a token."""
    with service_in(tmp_path, token=TOKEN) as running:
        yield running


class TestHost:
    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:5000", "127.0.0.1", "127.0.0.1:5000", "[::1]", "[::1]:5000"]
    )
    def test_loopback_names_are_answered_with_any_port(self, refusal: Refusal, host: str) -> None:
        assert refusal("GET", "/tasks", {"Host": host}) is None

    @pytest.mark.parametrize("host", ["gpu-desk.local", "GPU-desk.local:80", "[2001:db8::5]:5000"])
    def test_so_are_the_names_of_the_settings(self, refusal: Refusal, host: str) -> None:
        assert refusal("GET", "/tasks", {"Host": host}, allowed_hosts=ALLOWED) is None

    @pytest.mark.parametrize("listening", ["192.0.2.7", "0.0.0.0"])
    def test_so_is_the_address_that_is_listened_on(self, refusal: Refusal, listening: str) -> None:
        """On every address each one is: no page of another site has an address of this machine as its host."""
        assert refusal("GET", "/", {"Host": "192.0.2.7:5000"}, host=listening) is None

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "evil.example:5000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "localhost:5000:80",
            "localhost/",
            "localhost evil.example",
            "[::1",
            "::1",
            "",
        ],
    )
    def test_any_other_name_is_refused(self, idle: Api, host: str) -> None:
        """A page whose own name points to 127.0.0.1 sends that name, and gets nothing."""
        for method in ("GET", "POST", "OPTIONS"):
            refused = idle.send(method, START, headers={"Host": host})
            assert refused.status_code == 403, method
            assert content(refused)["error"] == "host_not_allowed"

    @pytest.mark.parametrize("host", ["0.0.0.0", "evil.example", "[::]:5000"])
    def test_a_wildcard_address_allows_no_name(self, refusal: Refusal, host: str) -> None:
        assert refusal("GET", "/", {"Host": host}, host="0.0.0.0", token=LONG) is not None

    def test_a_request_without_host_is_refused(self, refusal: Refusal) -> None:
        assert refusal("GET", "/", {}) is not None


class TestOtherSites:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://localhost:8188"},
            {"Origin": ""},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
        ],
        ids=str,
    )
    def test_what_their_pages_send_is_refused(self, idle: Api, headers: dict[str, str]) -> None:
        refused = idle.send("POST", START, json={"ssh_connection": "root@127.0.0.1"}, headers=headers)
        assert refused.status_code == 403
        assert content(refused)["error"] == "cross_site_request"
        assert content(idle.get("/tasks"))["tasks"] == []

    @pytest.mark.parametrize(
        "headers",
        [{"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}],
        ids=str,
    )
    def test_what_our_own_page_and_curl_send_is_answered(self, idle: Api, headers: dict[str, str]) -> None:
        assert idle.send("POST", START, json={}, headers=headers).status_code == 400

    def test_a_form_of_theirs_is_refused_by_its_type(self, idle: Api) -> None:
        """A form sends without asking first, in a browser that tells no origin too."""
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            assert idle.post_text(START, '{"ssh_connection": "root@127.0.0.1"}', content_type).status_code == 415


class TestToken:
    def test_it_opens_every_route(self, locked: Api) -> None:
        assert locked.get("/tasks", Authorization=f"Bearer {TOKEN}").status_code == 200
        assert locked.get("/tasks", Authorization=f"bearer {TOKEN}").status_code == 200

    @pytest.mark.parametrize(
        "authorization", ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ü"]
    )
    def test_without_it_nothing_is_answered(self, locked: Api, authorization: str) -> None:
        for method, path in [("GET", "/tasks"), ("POST", START), ("DELETE", "/host-keys/h:22"), ("GET", "/nowhere")]:
            refused = locked.send(method, path, headers={"Authorization": authorization})
            assert refused.status_code == 401, path
            assert refused.headers["WWW-Authenticate"].startswith("Bearer")
            assert content(refused)["error"] == "unauthorized"

    def test_health_answers_without_it(self, locked: Api) -> None:
        assert locked.get("/health").status_code == 200

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]"])
    def test_loopback_needs_none(self, host: str) -> None:
        guards.check_bind(Settings(host=host))

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "gpu-desk.local", "localhost.evil.example"])
    def test_elsewhere_a_chosen_one_must_be_long(self, host: str) -> None:
        """A service that others can reach would let them guess it, and use the owner's keys."""
        with pytest.raises(InvalidSetting) as refused:
            guards.check_bind(Settings(host=host, token=TOKEN))
        assert "at least 24 characters" in refused.value.hint and TOKEN not in str(refused.value)
        guards.check_bind(Settings(host=host, token=LONG))
        guards.check_bind(Settings(host=host))
