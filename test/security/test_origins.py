"""What pages of other sites, and of other ports of this host, make a browser send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.access import Scope, origin_of
from app.settings import InvalidSetting, settings_from
from app.storage.token_file import TokenFile
from test.api.client import START, Api, content, service_in

HOST = "localhost:5000"
OWN = f"http://{HOST}"
BODY = {"ssh_connection": "root@127.0.0.1 -p 1"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service on loopback without a login, reachable by a name too."""
    with service_in(tmp_path_factory.mktemp("open"), allowed_hosts=("gpu.example",)) as running:
        yield running


@pytest.fixture(scope="module")
def cookie(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, str]]:
    """A service with a login, and the cookie of a browser that is logged in."""
    folder = tmp_path_factory.mktemp("login")
    secret = TokenFile(folder).new("mine", Scope.ALL)
    with service_in(folder, host="0.0.0.0", allowed_origins=("https://gpu.example:8443",)) as running:
        answer = running.app.test_client(use_cookies=False).post(
            "/session", json={"token": secret}, headers={"Host": HOST, "Origin": OWN}
        )
        yield running, answer.headers["Set-Cookie"].partition(";")[0]


def send(api: Api, method: str = "POST", path: str = START, **headers: str) -> Any:
    named = {"Host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
    body = BODY if method != "GET" else None
    return api.app.test_client(use_cookies=False).open(path, method=method, headers=named, json=body)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:8188",
        "http://localhost",
        "https://localhost:5000",
        "http://127.0.0.1:5000",
        "http://localhost:5000.evil.example",
        "http://evil.example:5000",
        "http://localhost:5000@evil.example",
        "http://localhost:5000/",
        "http://localhost:05000",
        "http://localhost:5000, http://evil.example",
        "//localhost:5000",
        "localhost:5000",
        "file://",
        "chrome-extension://abcdef",
        "null",
        "",
    ],
)
@pytest.mark.parametrize("logged_in", [False, True], ids=["open", "logged in"])
def test_another_origin_changes_nothing(api: Api, cookie: tuple[Api, str], origin: str, logged_in: bool) -> None:
    """Another port and another scheme are another origin, for who is logged in and where no login is needed."""
    service, has = cookie if logged_in else (api, "a=b")
    for method, path in (("POST", START), ("DELETE", "/host-keys/h:22"), ("POST", "/session"), ("DELETE", "/session")):
        refused = send(service, method, path, Origin=origin, Cookie=has)
        assert refused.status_code == 403, (method, path)
        assert content(refused)["error"] == "cross_site_request"
    assert send(service, "GET", "/tasks", Cookie=has).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": OWN},
        {"Sec-Fetch-Site": "same-site", "Origin": OWN},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Cookie": "session=x"},
        {"Cookie": "session=x", "Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_what_a_browser_says_of_itself_is_heeded(api: Api, headers: dict[str, str]) -> None:
    """Where it tells no origin, a cookie shows that it is one: SameSite alone lets other ports through."""
    refused = send(api, **headers)
    assert refused.status_code == 403 and content(refused)["error"] == "cross_site_request"
    assert content(send(api, "GET", "/tasks"))["tasks"] == []


def test_programs_and_our_own_page_are_answered(api: Api, cookie: tuple[Api, str]) -> None:
    """curl sends neither header; a token in the header is no cookie."""
    check = {"path": "/manifests/check"}
    for headers in ({}, {"Origin": OWN}, {"Origin": OWN.upper()}, {"Origin": OWN, "Sec-Fetch-Site": "same-origin"}):
        assert send(api, **check, **headers).status_code == 200, headers
    named = {"Host": "gpu.example"}
    for origin in ("https://gpu.example", "http://gpu.example", "https://gpu.example:443"):
        assert send(api, **check, **named, Origin=origin).status_code == 200, origin
    service, has = cookie
    assert send(service, **check, Cookie=has, Origin=OWN).status_code == 200
    assert send(service, **check, Cookie=has, Origin="https://gpu.example:8443").status_code == 200
    assert send(service, **check, Cookie=has).status_code == 403
    assert send(service, **check, Cookie="a=b", Authorization="Bearer x").status_code == 401


@pytest.mark.parametrize("path", ["/tasks", "/tasks/550e8400-e29b-41d4-a716-446655440000/events", "/metrics"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:8188"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ],
    ids=str,
)
def test_pages_of_others_load_nothing(cookie: tuple[Api, str], headers: dict[str, str], path: str) -> None:
    """They could not read it, but streams and answers that wait have few places. A link that is followed works."""
    service, has = cookie
    assert send(service, "GET", path, Cookie=has, **headers).status_code == 403
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert send(service, "GET", "/ui/runs", **followed).status_code == 200


@pytest.mark.parametrize("host", ["evil.example:5000", "localhost.evil.example", "0.0.0.0:5000", "7f000001.rbndr.us"])
def test_a_rebound_name_gets_nothing(api: Api, cookie: tuple[Api, str], host: str) -> None:
    """With an origin that fits it, too."""
    for service in (api, cookie[0]):
        for method, path in (("GET", "/"), ("GET", "/tasks"), ("POST", START), ("POST", "/session")):
            refused = send(service, method, path, Host=host, Origin=f"http://{host}")
            assert refused.status_code == 403 and content(refused)["error"] == "host_not_allowed"


def test_the_refusal_names_the_setting(tmp_path: Path) -> None:
    """Where a proxy of one's own may be the reason, and nowhere else."""
    with service_in(tmp_path, allowed_hosts=("gpu.example",), trusted_proxies=("127.0.0.1",)) as service:
        named = {"Host": "gpu.example", "X-Forwarded-Proto": "https"}
        said = content(send(service, Origin="https://gpu.example:8443", **named))
        assert "NODEFERRY_ALLOWED_ORIGINS=https://gpu.example:8443" in said["hint"]
        assert "NODEFERRY" not in content(send(service, Origin="http://localhost:8188"))["hint"]


@pytest.mark.parametrize("text", ["*", "gpu.example", "https://gpu.example/x", "https://*.gpu.example:x", "null"])
def test_a_setting_that_is_no_origin_is_refused(tmp_path: Path, text: str) -> None:
    """A pattern would let in more than its writer thinks."""
    with pytest.raises(InvalidSetting, match="no origin"):
        settings_from({"NODEFERRY_ALLOWED_ORIGINS": text}, file=tmp_path / "none.toml")
    assert origin_of("HTTPS://Gpu.Example:443") == "https://gpu.example"
