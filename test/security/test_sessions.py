"""What becomes of a browser's session, and of cookies that somebody else has set, kept or read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.domain.access import Scope, Token
from app.storage.documents import FolderDocuments
from app.storage.token_file import TokenFile
from app.sync.http.admission import LOOKED_SECONDS
from app.sync.sessions import FILE_NAME, Sessions
from test.api.client import START, Api, content, service_in, silent_address

HOST = "gpu.local:5000"
OWN = {"Host": HOST, "Origin": f"http://{HOST}"}
NAME = "nodeferry-session-5000"
SETTINGS: dict[str, Any] = {"host": "0.0.0.0", "allowed_hosts": ("gpu.local", "gpu.example")}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A service that other machines reach."""
    with service_in(tmp_path, **SETTINGS) as running:
        yield running


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """A token of it."""
    return TokenFile(tmp_path).new("mine", Scope.ALL)


def send(api: Api, method: str, path: str, cookie: str = "", **headers: str) -> Any:
    """A request as a page of the service's own sends it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = OWN | named | ({"Cookie": cookie} if cookie else {})
    body: dict[str, str] | None = {} if method in {"POST", "DELETE"} else None
    return api.app.test_client(use_cookies=False).open(path, method=method, headers=headers, json=body)


def log_in(api: Api, token: str, **headers: str) -> tuple[str, str]:
    """The cookie as the browser sends it back, and the whole of `Set-Cookie`."""
    client = api.app.test_client(use_cookies=False)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.post("/session", json={"token": token}, headers=OWN | named)
    assert answer.status_code == 201, answer.text
    said = answer.headers["Set-Cookie"]
    assert token not in answer.text and token not in said
    return said.partition(";")[0], said


def test_a_session_lets_its_browser_in_until_it_logs_out(api: Api, secret: str) -> None:
    """No script reads the cookie and no other site makes a browser send it; logging out ends it in the service too."""
    cookie, said = log_in(api, secret)
    assert cookie.startswith(f"{NAME}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(said.split("; ")) and "Secure" not in said
    known = content(send(api, "GET", "/session", cookie))
    assert (known["name"], known["scope"], known["login_needed"]) == ("mine", "all", True)
    out = send(api, "DELETE", "/session", cookie)
    assert out.status_code == 200 and "Max-Age=0" in out.headers["Set-Cookie"]
    assert send(api, "GET", "/tasks", cookie).status_code == 401


def test_the_cookie_is_for_https_where_the_browser_has_it(tmp_path: Path) -> None:
    """By what a trusted proxy says, with its path; nobody else's word counts but the browser's own origin."""
    tokens, settings = TokenFile(tmp_path), {**SETTINGS, "path_prefix": "/nodeferry", "trusted_proxies": ("127.0.0.1",)}
    secret = tokens.new("mine", Scope.ALL)
    https = {"Host": "gpu.example", "Origin": "https://gpu.example"}
    with service_in(tmp_path, **settings) as api:
        cookie, said = log_in(api, secret, **https, X_Forwarded_Proto="https")
        assert {"Secure", "HttpOnly", "Path=/nodeferry"} <= set(said.split("; "))
        assert cookie.startswith("nodeferry-session-443=")
    with service_in(tmp_path, **SETTINGS) as api:
        assert "Secure" in log_in(api, secret, **https)[1]
        assert "Secure" not in log_in(api, secret, X_Forwarded_Proto="https")[1]


def test_a_login_ends_the_session_that_was_there(api: Api, secret: str) -> None:
    """Who planted an id in a browser has nothing of it."""
    planted, _ = log_in(api, secret)
    fresh, _ = log_in(api, secret, Cookie=planted)
    assert fresh != planted
    assert send(api, "GET", "/tasks", planted).status_code == 401
    assert send(api, "GET", "/tasks", fresh).status_code == 200


def test_sessions_end_with_their_token(api: Api, tmp_path: Path, secret: str) -> None:
    """At once; a new token of the same name does not bring them back. Others stay."""
    other = TokenFile(tmp_path).new("other", Scope.ALL)
    mine, others = log_in(api, secret)[0], log_in(api, other)[0]
    TokenFile(tmp_path).revoke("mine")
    assert send(api, "GET", "/tasks", mine).status_code == 401
    TokenFile(tmp_path).new("mine", Scope.ALL)
    assert send(api, "GET", "/tasks", mine).status_code == 401
    assert send(api, "GET", "/tasks", others).status_code == 200


def test_sessions_outlive_the_service_and_not_another_chosen_token(tmp_path: Path) -> None:
    """A restart logs nobody out, as long as the token is the same."""
    chosen = {**SETTINGS, "token": "chosen by a person, and long"}
    with service_in(tmp_path, **chosen) as api:
        cookie, _ = log_in(api, chosen["token"])
    with service_in(tmp_path, **chosen) as api:
        assert content(send(api, "GET", "/session", cookie))["name"] == "NODEFERRY_TOKEN"
    with service_in(tmp_path, **{**chosen, "token": "another one, which is as long"}) as api:
        assert send(api, "GET", "/tasks", cookie).status_code == 401


def test_a_session_has_an_end_and_there_are_not_too_many(tmp_path: Path) -> None:
    """With more the oldest goes, in the file too; a file that is damaged is no reason not to start."""
    now, token = [1000.0], Token("mine", Scope.ALL, "0" * 64)
    sessions = Sessions(FolderDocuments(tmp_path), 60.0, lambda: now[0], most=5)
    first, _ = sessions.begin(token)
    assert sessions.find([first], {"mine": token})
    now[0] += 60.0
    assert sessions.find([first], {"mine": token}) is None
    made = [sessions.begin(token)[0] for _ in range(6)]
    assert sessions.find(made[:1], {"mine": token}) is None and sessions.find(made[-1:], {"mine": token})
    assert len(json.loads((tmp_path / FILE_NAME).read_text())) == 5
    (tmp_path / FILE_NAME).write_text('{"x": {"token": []')
    assert Sessions(FolderDocuments(tmp_path), 60.0).find(made[-1:], {"mine": token}) is None


def test_the_file_of_sessions_opens_nothing(api: Api, tmp_path: Path, secret: str) -> None:
    """Its keys are hashes of ids."""
    cookie, _ = log_in(api, secret)
    text = (tmp_path / FILE_NAME).read_text()
    assert cookie.partition("=")[2] not in text and secret not in text
    for part in (*json.loads(text), *(row["bound"] for row in json.loads(text).values())):
        assert send(api, "GET", "/tasks", f"{NAME}={part}").status_code == 401


@pytest.mark.parametrize(
    "in_front", [f"{NAME}=planted", f"{NAME}=", "; ".join(f"{NAME}={number}" for number in range(6)), "a; =; ; b=c"]
)
def test_cookies_that_another_port_has_set_log_nobody_out(api: Api, secret: str, in_front: str) -> None:
    """A page behind another port of this host can set cookies of any name for all of its ports."""
    cookie, _ = log_in(api, secret)
    assert send(api, "GET", "/tasks", f"{in_front}; {cookie}").status_code == 200


def test_another_port_has_another_cookie(api: Api, secret: str) -> None:
    """Two services of one host do not log each other out."""
    cookie, _ = log_in(api, secret)
    elsewhere = {"Host": "gpu.local:5001", "Origin": "http://gpu.local:5001"}
    assert send(api, "GET", "/tasks", cookie, **elsewhere).status_code == 401
    assert log_in(api, secret, **elsewhere)[0].startswith("nodeferry-session-5001=")


def test_a_read_only_session_changes_nothing(api: Api, tmp_path: Path) -> None:
    """It may log out."""
    cookie, _ = log_in(api, TokenFile(tmp_path).new("reader", Scope.READ_ONLY))
    assert send(api, "GET", "/tasks", cookie).status_code == 200
    assert content(send(api, "POST", START, cookie))["error"] == "read_only_token"
    assert send(api, "DELETE", "/session", cookie).status_code == 200


def test_a_stream_ends_when_its_token_is_revoked(api: Api, tmp_path: Path, secret: str) -> None:
    """Not a minute later."""
    header = {"Authorization": f"Bearer {secret}"}
    with silent_address() as dead:
        started = api.send("POST", START, json={"ssh_connection": dead}, headers=header)
        task_id = content(started)["task_id"]
        with api.send("GET", f"/tasks/{task_id}/events", headers=header) as stream:
            lines = iter(stream.response)
            next(lines)
            TokenFile(tmp_path).revoke("mine")
            assert not any(b"progress" in str(line).encode() for line in list(lines)[2:])


def test_an_answer_that_waits_goes_to_nobody_who_is_revoked(api: Api, tmp_path: Path, secret: str) -> None:
    """It was asked for while the token was good."""
    other = {"Authorization": f"Bearer {TokenFile(tmp_path).new('other', Scope.ALL)}"}
    with silent_address() as dead, ThreadPoolExecutor(1) as pool:
        started = content(api.send("POST", START, json={"ssh_connection": dead}, headers=other))
        path = f"/tasks/{started['task_id']}"
        waiting = pool.submit(api.send, "GET", f"{path}?wait=60", headers={"Authorization": f"Bearer {secret}"})
        with pytest.raises(TimeoutError):
            waiting.result(1.5 * LOOKED_SECONDS)
        TokenFile(tmp_path).revoke("mine")
        api.send("POST", f"{path}/cancel", json={}, headers=other)
        assert waiting.result(30).status_code == 401


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": 5}, {"token": "x" * 2000}, {"token": None}], ids=str)
def test_a_login_that_is_none_is_a_sentence(api: Api, body: dict[str, Any]) -> None:
    answer = api.app.test_client().post("/session", json=body, headers=OWN)
    assert answer.status_code == 400 and content(answer)["field"] == "token" and "Set-Cookie" not in answer.headers
