"""The service behind a reverse proxy: who is believed, what a path prefix changes, and what is said where a setting is
missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.domain.forwarded import _OURS, Passed, networks_of, passed
from app.settings import InvalidSetting, Settings, settings_from
from app.sync.access import is_reached_by_proxy
from test.api.client import START, Api, content, service_in

PROXY, CLIENT, STRANGER = "10.1.2.3", "203.0.113.7", "198.51.100.9"
TRUSTED = networks_of(["10.0.0.0/8", "127.0.0.1", "::1"])
ALLOWED = {"trusted_proxies": (PROXY,), "allowed_hosts": ("gpu.example",)}
BODY = {"ssh_connection": "root@127.0.0.1 -p 1"}


@pytest.mark.parametrize(
    ("peer", "headers", "believed"),
    [
        (STRANGER, {"X-Forwarded-For": CLIENT, "X-Forwarded-Host": "a.example"}, Passed(STRANGER)),
        (STRANGER, {"Forwarded": f"for={CLIENT};host=a.example"}, Passed(STRANGER)),
        ("", {"X-Forwarded-For": CLIENT}, Passed("")),
        (PROXY, {}, Passed(PROXY)),
        (PROXY, {"X-Forwarded-For": CLIENT}, Passed(CLIENT)),
        (PROXY, {"X-Forwarded-For": f"127.0.0.1, {CLIENT}"}, Passed(CLIENT)),
        (PROXY, {"X-Forwarded-For": f"6.6.6.6, {CLIENT}, 10.0.0.4"}, Passed(CLIENT)),
        (PROXY, {"X-Forwarded-For": f"{CLIENT}:4711"}, Passed(CLIENT)),
        (PROXY, {"X-Forwarded-For": "[2001:db8::7]:4711"}, Passed("2001:db8::7")),
        (PROXY, {"X-Forwarded-For": "2001:db8::7"}, Passed("2001:db8::7")),
        (PROXY, {"X-Forwarded-For": f"{CLIENT}, unknown"}, Passed(PROXY)),
        (PROXY, {"X-Forwarded-For": f"{CLIENT}, _hidden, 10.0.0.4"}, Passed("10.0.0.4")),
        (PROXY, {"X-Forwarded-For": "10.0.0.4, 10.0.0.5"}, Passed("10.0.0.4")),
        (PROXY, {"X-Forwarded-For": "'; DROP TABLE"}, Passed(PROXY)),
        (f"::ffff:{PROXY}", {"X-Forwarded-For": f"::ffff:{CLIENT}"}, Passed(CLIENT)),
        ("::1", {"X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "HTTPS"}, Passed(CLIENT, scheme="https")),
        (PROXY, {"X-Forwarded-Proto": "javascript"}, Passed(PROXY)),
        (PROXY, {"X-Forwarded-Proto": "http, https"}, Passed(PROXY, scheme="https")),
        (
            PROXY,
            {"X-Forwarded-For": f"{CLIENT}, 10.0.0.4", "X-Forwarded-Proto": "https, http"},
            Passed(CLIENT, scheme="https"),
        ),
        (PROXY, {"X-Forwarded-Host": "gpu.example:8443"}, Passed(PROXY, "gpu.example:8443")),
        (PROXY, {"X-Forwarded-Host": "gpu.example", "X-Forwarded-Port": "8443"}, Passed(PROXY, "gpu.example:8443")),
        (PROXY, {"X-Forwarded-Host": "gpu.example/../x"}, Passed(PROXY)),
        (PROXY, {"X-Forwarded-Host": "evil.example, gpu.example"}, Passed(PROXY, "gpu.example")),
        (PROXY, {"X-Forwarded-Prefix": "/one/two/"}, Passed(PROXY, prefix="/one/two")),
        (PROXY, {"X-Forwarded-Prefix": "//evil.example"}, Passed(PROXY)),
        (PROXY, {"X-Forwarded-Prefix": "/one/../two"}, Passed(PROXY)),
        (PROXY, {"X-Forwarded-Prefix": '/"><script>'}, Passed(PROXY)),
        (PROXY, {"X-Forwarded-Prefix": "/" + "x" * 500}, Passed(PROXY)),
        (
            PROXY,
            {"Forwarded": f'for="{CLIENT}:80";proto=https;host="gpu.example:8443", for=10.0.0.4'},
            Passed(CLIENT, "gpu.example:8443", "https"),
        ),
        (PROXY, {"Forwarded": 'For="[2001:db8::7]:4711" ; Proto=http'}, Passed("2001:db8::7", scheme="http")),
        (PROXY, {"Forwarded": "for=6.6.6.6;host=evil.example", "X-Forwarded-For": CLIENT}, Passed(CLIENT)),
        (PROXY, {"Forwarded": 'for="' + "\\" * 5000}, Passed(PROXY)),
    ],
)
def test_only_a_trusted_proxy_is_believed(peer: str, headers: Mapping[str, str], believed: Passed) -> None:
    """The client is the rightmost address that is no proxy of ours, and X-Forwarded-* wins over a Forwarded that the
    client may have written."""
    assert passed(peer, headers, TRUSTED) == believed


def test_without_the_setting_nobody_is_believed() -> None:
    assert passed("127.0.0.1", {"X-Forwarded-For": CLIENT, "X-Forwarded-Prefix": "/x"}, ()) == Passed("127.0.0.1")


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("TRUSTED_PROXIES", "10.0.0.5, nginx", "neither an address nor a network"),
        ("TRUSTED_PROXIES", "10.0.0.0/40", "neither an address nor a network"),
        ("PATH_PREFIX", "https://gpu.example/x", "no path"),
        ("PATH_PREFIX", "/a/../b", "no path"),
        ("PATH_PREFIX", "/ui", "Nodeferry's own pages"),
    ],
)
def test_a_setting_that_cannot_be_is_named(variable: str, text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=said):
        settings_from({f"NODEFERRY_{variable}": text}, file=tmp_path / "none.toml")


def test_settings_are_read_as_people_write_them(tmp_path: Path) -> None:
    found = settings_from(
        {"NODEFERRY_TRUSTED_PROXIES": "127.0.0.1, [::1],10.0.0.5/8", "NODEFERRY_PATH_PREFIX": "nodeferry/"},
        file=tmp_path / "none.toml",
    )
    assert (found.path_prefix, len(networks_of(found.trusted_proxies))) == ("/nodeferry", 3)
    assert is_reached_by_proxy(found) and not is_reached_by_proxy(Settings())


def test_no_prefix_can_hide_one_of_our_routes(idle: Api) -> None:
    heads = {rule.rule.split("/")[1] for rule in idle.app.url_map.iter_rules()}
    assert heads - {"", "favicon.ico"} == set(_OURS)


# -- through the application ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service that trusts one proxy and is shown below a path."""
    with service_in(tmp_path_factory.mktemp("proxied"), path_prefix="/proxy/5000", **ALLOWED) as running:
        yield running


def ask(api: Api, path: str, method: str = "GET", peer: str = PROXY, **parts: Any) -> Any:
    headers = {"Host": "127.0.0.1:5000", "X-Forwarded-Host": "gpu.example", "X-Forwarded-Proto": "https"}
    headers |= parts.pop("headers", {})
    return api.send(method, path, headers=headers, environ_overrides={"REMOTE_ADDR": peer}, **parts)


def test_every_address_of_every_page_has_the_prefix(proxied: Api) -> None:
    """The proxy strips it or not, and both get the same; what a page loads is there."""
    for page in ("/", "/ui/runs", "/ui/machines", "/ui/compare", "/ui/fleet", "/docs"):
        stripped, whole = ask(proxied, page), ask(proxied, f"/proxy/5000{page}")
        assert stripped.status_code == 200 and stripped.text == whole.text
        addresses = re.findall(r'(?:href|src|action)="([^"#]+)"', stripped.text)
        assert len(addresses) >= 8
        for address in addresses:
            assert address.startswith("/proxy/5000/"), address
            assert ask(proxied, address).status_code == 200, address
        assert 'data-base="/proxy/5000"' in stripped.text


def test_redirects_keep_the_prefix(proxied: Api) -> None:
    assert ask(proxied, "/favicon.ico").headers["Location"].startswith("/proxy/5000/ui/static/")
    bare = ask(proxied, "/proxy/5000?ssh=x")
    assert (bare.status_code, bare.headers["Location"]) == (308, "/proxy/5000/?ssh=x")


def test_scripts_ask_below_the_prefix() -> None:
    """No address of the service's own is written without it."""
    folder = Path("app/webui/static/js")
    for path in sorted(folder.rglob("*.js")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            found = re.search(r"(?:href: |assign\(|replace\(|fetch\(|\", )[\"'`]/", line)
            assert not found, f"{path}:{number}: {line}"


def test_a_page_of_ours_may_post_through_the_proxy(proxied: Api) -> None:
    """Its origin is the proxy's name, over https, with the port."""
    for origin, headers in (
        ("https://gpu.example", {}),
        ("https://gpu.example:443", {}),
        ("https://gpu.example", {"X-Forwarded-Host": "gpu.example:443"}),
        ("https://gpu.example:8443", {"X-Forwarded-Port": "8443"}),
    ):
        answer = ask(proxied, START, "POST", json=BODY, headers={"Origin": origin, **headers})
        assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Origin": "https://evil.example"}, "cross_site_request"),
        ({"Origin": "https://gpu.example.evil.example"}, "cross_site_request"),
        ({"Origin": "https://gpu.example:8443"}, "cross_site_request"),
        ({"Origin": "http://gpu.example"}, "cross_site_request"),
        ({"Origin": "null"}, "cross_site_request"),
        ({"Origin": "https://gpu.example", "Sec-Fetch-Site": "same-site"}, "cross_site_request"),
        ({"X-Forwarded-Host": "evil.example"}, "host_not_allowed"),
        ({"Host": "evil.example"}, "host_not_allowed"),
    ],
    ids=str,
)
def test_pages_of_others_may_not(proxied: Api, headers: dict[str, str], code: str) -> None:
    """Also one whose name points here, and which writes the name of the proxy into a header."""
    refused = ask(proxied, START, "POST", json=BODY, headers={"Origin": "https://gpu.example", **headers})
    assert (refused.status_code, content(refused)["error"]) == (403, code)


def test_the_log_has_the_client(proxied: Api, caplog: pytest.LogCaptureFixture) -> None:
    """By the proxy that is trusted; a stranger is logged by its own address, whatever it says."""
    caplog.set_level("DEBUG")  # a read changes nothing
    ask(proxied, "/health", headers={"X-Forwarded-For": f"6.6.6.6, {CLIENT}"})
    ask(proxied, "/health", peer=STRANGER, headers={"X-Forwarded-For": CLIENT})
    lines = [record.getMessage() for record in caplog.records if "path=/health" in record.getMessage()]
    assert [line.rpartition("client=")[2] for line in lines] == [CLIENT, STRANGER]


# -- what is said where a setting is missing --------------------------------------------------------------------------


def test_a_proxy_that_is_not_trusted_is_named_with_the_settings(idle: Api) -> None:
    """In JSON, and as a page for a browser."""
    origin = {"Origin": "https://gpu.example"}
    refused = ask(idle, START, "POST", json=BODY, headers=origin)
    assert refused.status_code == 403
    hint = content(refused)["hint"]
    assert f"NODEFERRY_TRUSTED_PROXIES={PROXY} and NODEFERRY_ALLOWED_HOSTS=gpu.example" in hint
    page = ask(idle, "/", headers={"Host": "gpu.example", "Accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.content_type) == (403, "text/html; charset=utf-8")
    assert "gpu.example" in page.text and f"NODEFERRY_TRUSTED_PROXIES={PROXY}" in page.text


def test_a_proxy_that_rewrites_host_and_says_nothing_is_explained(idle: Api) -> None:
    """nginx's own default: Host becomes the address behind it."""
    refused = idle.post(START, BODY, Origin="https://gpu.example:8443")
    told = content(refused)
    assert told["error"] == "cross_site_request"
    assert "gpu.example:8443" in told["message"]
    assert "proxy_set_header Host $http_host" in told["hint"] and "NODEFERRY_ALLOWED_HOSTS=gpu.example." in told["hint"]


def test_a_missing_prefix_is_named(idle: Api) -> None:
    """Where the proxy does not strip it; where it does, the page itself says so as long as it has no styles."""
    for path, prefix in (("/absproxy/5000/", "/absproxy/5000"), ("/nodeferry/ui/history", "/nodeferry")):
        missing = idle.get(path)
        assert missing.status_code == 404
        assert f"NODEFERRY_PATH_PREFIX={prefix}." in content(missing)["hint"]
    assert "NODEFERRY_PATH_PREFIX" not in content(idle.get("/tasks/x/y"))["hint"]
    assert "NODEFERRY_PATH_PREFIX=/proxy/5000" in idle.get("/").text


def test_an_error_page_shows_no_code_of_others(idle: Api) -> None:
    page = idle.send("GET", "/", headers={"Host": "<script>x</script>", "Accept": "text/html"})
    assert page.status_code == 403 and "<script>" not in page.text


def test_an_event_stream_asks_not_to_be_held_back(proxied: Api) -> None:
    started = content(ask(proxied, START, "POST", json=BODY))
    with ask(proxied, f"/tasks/{started['task_id']}/events") as stream:
        assert stream.headers["X-Accel-Buffering"] == "no"
        assert "no-transform" in stream.headers["Cache-Control"]
        assert stream.headers["Content-Type"].startswith("text/event-stream")
