"""A real service through real proxies: what curl and pages send, and an event stream that nobody holds back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from app.standin.reverse_proxy import Manner, ReverseProxy
from test.api.client import START, silent_address
from test.support.real_proxy import NAME, caddy, nginx
from test.support.service import ServiceProcess

TOKEN = "a long random text"
CLIENT, LIAR = "127.0.0.2", "6.6.6.6"
STANDARD = {"X-Forwarded-For": "{client}", "X-Forwarded-Host": "{host}", "X-Forwarded-Proto": "http"}
MANNERS = {
    "code-server /proxy": Manner(prefix="/proxy/5000", says={"X-Forwarded-For": "{client}"}),
    "code-server /absproxy": Manner(prefix="/absproxy/5000", strips=False),
    "host replaced": Manner(keeps_host=False, says=STANDARD),
    "Forwarded": Manner(
        keeps_host=False, says={"Forwarded": 'for="{client}";host="{host}";proto=http', "X-Forwarded-For": ""}
    ),
    "X-Forwarded-Prefix": Manner(prefix="/hub/me", says={**STANDARD, "X-Forwarded-Prefix": "/hub/me"}),
}
Proxy = Callable[[Path, str], AbstractContextManager[str]]


@contextmanager
def standin(manner: Manner, service: str) -> Iterator[str]:
    with ReverseProxy(service, manner) as running:
        yield f"http://{NAME}:{running.port}{manner.prefix}"


REAL: dict[str, tuple[str, Proxy]] = {
    "nginx": ("", lambda folder, service: nginx(folder, service, below_path=False)),
    "nginx, below a path": ("/nodeferry", lambda folder, service: nginx(folder, service, below_path=True)),
    "caddy": ("", lambda folder, service: caddy(folder, service, below_path=False)),
    "caddy, below a path": ("/nodeferry", lambda folder, service: caddy(folder, service, below_path=True)),
}


def _ours(manner: Manner) -> Proxy:
    return lambda _, service: standin(manner, service)


OURS: dict[str, tuple[str, Proxy]] = {
    name: ("" if name == "X-Forwarded-Prefix" else manner.prefix, _ours(manner)) for name, manner in MANNERS.items()
}
ALL = {**OURS, **REAL}


class FromElsewhere(HTTPAdapter):
    """Asks from another address of this machine than the proxy's, which is one of the trusted."""

    def init_poolmanager(self, *parts: Any, **more: Any) -> None:
        super().init_poolmanager(*parts, source_address=(CLIENT, 0), **more)


@contextmanager
def browser_at(address: str) -> Iterator[tuple[requests.Session, str]]:
    """A client that names the proxy as a browser does, and the address where it finds it without a name server."""
    with requests.Session() as browser:
        browser.verify = False
        browser.trust_env = False
        browser.headers["Host"] = address.split("/")[2]
        for scheme in ("http://", "https://"):
            browser.mount(scheme, FromElsewhere())
        yield browser, address.replace(NAME, "127.0.0.1")


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize(("prefix", "proxy"), ALL.values(), ids=ALL.keys())
def test_a_service_through_a_proxy(prefix: str, proxy: Proxy, tmp_path: Path) -> None:
    """Pages and what they load, a start as the page sends it, its live events, and others' pages kept out. The log has
    the client, whatever it says of itself."""
    behind = ServiceProcess(tmp_path, path_prefix=prefix, allowed_hosts=NAME, trusted_proxies="127.0.0.1", token=TOKEN)
    with (
        behind as service,
        proxy(tmp_path, service.url) as address,
        browser_at(address) as (browser, place),
        silent_address() as dead,
    ):
        look(browser, place, lies=proxy in [each for _, each in REAL.values()])
        browser.headers["Authorization"] = f"Bearer {TOKEN}"
        start = {"ssh_connection": dead, "options": {"wait_seconds": 60}}
        stranger = browser.post(f"{place}{START}", json=start, headers={"Origin": "https://evil.example"}, timeout=20)
        assert stranger.status_code == 403, stranger.text
        origin = {"Origin": "/".join(address.split("/")[:3]), "X-Forwarded-For": LIAR}
        started = browser.post(f"{place}{START}", json=start, headers=origin, timeout=20)
        assert started.status_code == 202, started.text
        task_id = started.json()["task_id"]
        assert first_event(browser, f"{place}/tasks/{task_id}/events")["task_id"] == task_id
        browser.post(f"{place}/tasks/{task_id}/cancel", json={}, timeout=20)
        assert f"client={LIAR}" not in service.log or "absproxy" in prefix
        told = f"path={START} status=202"
        (line,) = [line for line in service.log.splitlines() if told in line]
        assert f"client={CLIENT}" in line or "absproxy" in prefix, line


def look(browser: requests.Session, place: str, *, lies: bool) -> None:
    """The start page, whose every address is there too. `lies`: the proxy lets no client speak for it."""
    said = {"X-Forwarded-Prefix": "/evil", "Forwarded": "host=evil.example"} if lies else {}
    root, below = "/".join(place.split("/")[:3]), "".join(f"/{part}" for part in place.split("/")[3:])
    page = browser.get(f"{place}/", headers=said, timeout=20)
    assert page.status_code == 200 and f'data-base="{below}"' in page.text, page.text[:500]
    addresses = re.findall(r' (?:src|href)="(/[^"]+)"', page.text)
    assert len(addresses) > 6 and all(part.startswith(f"{below}/") for part in addresses)
    for part in addresses:
        assert browser.get(root + part, timeout=20).status_code == 200, part
    icon = browser.get(f"{place}/favicon.ico", timeout=20)
    assert icon.url.startswith(f"{place}/ui/static/"), icon.url


def first_event(browser: requests.Session, address: str) -> dict[str, object]:
    """The first event, while the stream goes on: a proxy that collected the answer would bring none."""
    with browser.get(address, stream=True, timeout=20) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith(b"data: "):
                found: dict[str, object] = json.loads(line[6:])
                return found
    raise AssertionError("the stream ended without an event")
