"""Whoever comes without a token, with a wrong one, or with one that is for looking only."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.entry import cli
from app.domain.access import Scope
from app.storage.token_file import FILE_NAME, TokenFile
from app.sync.http.guards import is_open
from app.sync.login_attempts import IN_ALL, MAX_ADDRESSES, PER_ADDRESS, LoginAttempts
from test.api.client import PROGRESS, START, Api, content, service_in
from test.cli.test_serve import served

CHOSEN = "chosen by a person, and long"
TASK = "550e8400-e29b-41d4-a716-446655440000"
OWNER, ATTACKER = "192.0.2.1", "198.51.100.66"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reachable")


@pytest.fixture(scope="module")
def reachable(folder: Path) -> Iterator[Api]:
    """A service that other machines reach."""
    with service_in(folder, host="0.0.0.0") as running:
        yield running


@pytest.fixture
def made(folder: Path) -> Iterator[Callable[..., str]]:
    """Makes tokens of that service, as the command line does beside it; they are revoked at the end."""
    tokens = TokenFile(folder)
    yield lambda name="one", scope=Scope.ALL: tokens.new(name, scope)
    for token in tokens.all():
        tokens.revoke(token.name)


def ask(api: Api, token: str, path: str = "/tasks", method: str = "GET", client: str = OWNER, **parts: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}", **parts.pop("headers", {})} if token else parts.pop("headers", {})
    return api.send(method, path, headers=headers, environ_overrides={"REMOTE_ADDR": client}, **parts)


def routes(api: Api) -> list[tuple[str, str]]:
    """Every method of every route, with an id where one belongs."""
    return sorted(
        (method, re.sub(r"<[^>]+>", TASK, rule.rule))
        for rule in api.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"OPTIONS"}
    )


def test_off_loopback_no_route_answers_without_a_token(reachable: Api) -> None:
    """Not with a wrong one either, and not with half of one; pages are empty shells."""
    for method, path in routes(reachable):
        if not is_open(method, path):
            assert ask(reachable, "", path, method).status_code == 401, (method, path)
    assert "data-login" in reachable.get(f"/ui/run/{TASK}").text
    assert '<script type="application/json" id="carried">null</script>' in reachable.get(f"/ui/run/{TASK}").text


def test_a_token_works_at_once_and_is_gone_at_once(reachable: Api, folder: Path, made: Callable[..., str]) -> None:
    """The service that runs is not restarted."""
    secret = made()
    assert ask(reachable, secret).status_code == 200
    assert ask(reachable, secret[:-1]).status_code == 401
    other = made("other")
    assert TokenFile(folder).revoke("one")
    assert ask(reachable, secret).status_code == 401
    assert ask(reachable, other).status_code == 200


def test_the_data_folder_has_no_secret(reachable: Api, folder: Path, made: Callable[..., str]) -> None:
    """Who reads a backup of it can log in with nothing that stands in it."""
    secret = made()
    reachable.post("/session", {"token": secret})
    for path in folder.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert secret.encode() not in raw, path
            for digest in set(re.findall(rb"[0-9a-f]{64}|[A-Za-z0-9_-]{43}", raw)) if path.suffix == ".json" else ():
                assert ask(reachable, digest.decode(), client="203.0.113.200").status_code in {401, 429}
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600


def test_a_read_only_token_changes_nothing(reachable: Api, made: Callable[..., str]) -> None:
    """It may look, and poll; it does not learn the address of an open ComfyUI, which would be more than looking."""
    secret = made("dashboard", Scope.READ_ONLY)
    for method, path in routes(reachable):
        if is_open(method, path) or (method in {"GET", "HEAD"} and not path.endswith("/open")):
            continue
        refused = ask(reachable, secret, path, method)
        if path == PROGRESS:
            assert refused.status_code == 400
        else:
            assert refused.status_code == 403, (method, path)
            assert method == "HEAD" or content(refused)["error"] == "read_only_token"
    assert ask(reachable, secret).status_code == 200
    assert ask(reachable, secret, START, "POST", headers={"X-HTTP-Method-Override": "GET"}).status_code == 403
    assert content(ask(reachable, secret, "/session"))["scope"] == "read-only"


def test_wrong_tokens_are_limited_and_keep_nobody_else_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the header and with the form, counted together; the log has each failure, and no token."""
    with service_in(tmp_path, host="0.0.0.0", token=CHOSEN) as api:
        mine = TokenFile(tmp_path).new("mine", Scope.ALL)
        answers = []
        for number in range(PER_ADDRESS):
            guess = f"guess number {number}, as long as it takes"
            if number % 2:
                answers.append(ask(api, guess, client=ATTACKER))
            else:
                answers.append(ask(api, "", "/session", "POST", client=ATTACKER, json={"token": guess}))
        assert [answer.status_code for answer in answers] == [401] * PER_ADDRESS
        assert not any("Set-Cookie" in answer.headers for answer in answers)
        refused = ask(api, CHOSEN, client=ATTACKER)
        assert refused.status_code == 429 and content(refused)["error"] == "too_many_attempts"
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert ask(api, "", "/session", "POST", client=ATTACKER, json={"token": CHOSEN}).status_code == 429
        assert ask(api, CHOSEN, client=OWNER).status_code == 200
        assert ask(api, mine, client=ATTACKER).status_code == 200, "256 random bits are not guessed"
        said = caplog.text + "".join(answer.text for answer in answers)
        assert f"client={ATTACKER}" in said and "guess number" not in said and CHOSEN not in said


def test_a_script_with_an_old_token_keeps_nobody_at_its_address_out(tmp_path: Path) -> None:
    """It sends the same one again and again, which guesses nothing."""
    with service_in(tmp_path, token=CHOSEN) as api:
        last = [ask(api, "the token of last year, which is wrong").status_code for _ in range(3 * PER_ADDRESS)][-1]
        assert last == 429
        assert ask(api, CHOSEN).status_code == 200


def test_behind_a_proxy_the_client_is_limited_and_not_the_proxy(tmp_path: Path) -> None:
    """By what a trusted proxy says; whoever else says something of the kind changes nothing."""
    with service_in(tmp_path, token=CHOSEN, trusted_proxies=("10.0.0.1",)) as api:

        def through(peer: str, client: str, token: str) -> int:
            return int(ask(api, token, client=peer, headers={"X-Forwarded-For": client}).status_code)

        tried = [through("10.0.0.1", ATTACKER, f"guess {number}") for number in range(PER_ADDRESS + 1)]
        assert tried[-1] == 429
        assert through("10.0.0.1", OWNER, CHOSEN) == 200
        tried = [through("203.0.113.5", f"192.0.2.{number}", f"guess {number}") for number in range(PER_ADDRESS + 1)]
        assert tried[-1] == 429


def test_many_addresses_are_limited_in_all_and_in_memory() -> None:
    """Short tokens, which only loopback allows, are not looked at then, but for who was in before. Networks of IPv6
    count as one address, and time heals."""
    now = [0.0]
    attempts = LoginAttempts(lambda: now[0])
    attempts.succeeded(OWNER)
    for number in range(IN_ALL):
        attempts.failed(f"10.0.{number}.1", f"digest {number}")
    assert attempts.wait("10.9.9.9") > 0
    assert not attempts.may_guess("10.9.9.9", strict=True)
    assert attempts.may_guess("10.9.9.9", strict=False) and attempts.may_guess(OWNER, strict=True)
    for number in range(2 * MAX_ADDRESSES):
        attempts.failed(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}", "x")
    assert len(attempts._addresses) <= MAX_ADDRESSES
    now[0] = 60.0
    assert attempts.wait("10.9.9.9") == 0
    for number in range(PER_ADDRESS):
        attempts.failed(f"2001:db8:1:2::{number:x}", f"digest {number}")
    assert attempts.wait("2001:db8:1:2:ffff::9") > 0 and attempts.wait("2001:db8:1:3::9") == 0


@pytest.mark.parametrize("planted", ["link", "writable by others", "damaged", "of another shape", "a folder"])
def test_a_planted_file_of_tokens_lets_nobody_in(tmp_path: Path, planted: str) -> None:
    """Not by its own tokens, and not by others: it is refused in words."""
    elsewhere = tmp_path / "elsewhere"
    secret = TokenFile(elsewhere).new("evil", Scope.ALL)
    home = tmp_path / "home"
    with service_in(home, host="0.0.0.0") as api:
        place = home / FILE_NAME
        if planted == "link":
            place.symlink_to(elsewhere / FILE_NAME)
        elif planted == "a folder":
            place.mkdir()
        else:
            texts = {"damaged": "{", "of another shape": '{"tokens": [{"name": 1}]}'}
            place.write_text(texts.get(planted) or (elsewhere / FILE_NAME).read_text())
            place.chmod(0o622 if planted == "writable by others" else 0o600)
        refused = ask(api, secret)
        assert refused.status_code == 503 and content(refused)["error"] == "access_unavailable"


def test_loopback_stays_open_and_heeds_a_token_that_was_made(tmp_path: Path) -> None:
    """No login without a token that is required; what is no token of ours is passed over, as it always was. Behind a
    proxy, a token that is there is required."""
    with service_in(tmp_path) as api:
        assert content(ask(api, "", "/session")) == {
            "success": True,
            "login_needed": False,
            "name": None,
            "scope": "all",
            "expires_at": None,
        }
        secret = TokenFile(tmp_path).new("reader", Scope.READ_ONLY)
        assert ask(api, "").status_code == ask(api, "whatever").status_code == 200
        assert ask(api, secret, "/tasks/prune", "POST").status_code == 403
        assert ask(api, secret + "x").status_code == 401
    with service_in(tmp_path, trusted_proxies=("10.0.0.1",)) as api:
        assert ask(api, "").status_code == 401
        assert ask(api, secret).status_code == 200


@pytest.mark.slow
def test_the_first_start_shows_a_link_once(tmp_path: Path) -> None:
    """Only then, on stdout; neither the log nor the process list has it, and what it has works."""
    start = ("--port", "0", "--host", "127.1")  # an address of loopback, but not one that is known to be
    with served(tmp_path, *start) as (process, _line):
        assert process.stdout is not None
        link = re.search(r"(http://127\.0\.0\.1:\d+)/#token=(ndf_\S+)", process.stdout.readline())
        assert link is not None
        assert link[2] not in Path(f"/proc/{process.pid}/cmdline").read_text()
        result = CliRunner().invoke(cli, ["tasks", "list", "--server", link[1]], env={"NODEFERRY_TOKEN": link[2]})
        assert result.output == "No installs yet.\n"
        process.terminate()
        rest, log = process.communicate(timeout=60)
        assert rest == "" and link[2] not in log
    with served(tmp_path, *start) as (process, line):
        process.terminate()
        rest, log = process.communicate(timeout=60)
    assert line.startswith("Nodeferry on ") and "token" not in rest and "ndf_" not in log


def test_no_command_shows_a_secret_twice(tmp_path: Path) -> None:
    """`token new` shows it alone on stdout; `list`, `config show` and errors have none."""
    environment = {"NODEFERRY_DATA_DIR": str(tmp_path), "NODEFERRY_TOKEN": CHOSEN}

    def run(*words: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(cli, list(words), env=environment)
        return result.exit_code, result.stdout, result.stderr

    status, out, _ = run("token", "new", "--name", "ci", "--scope", "read-only")
    secret = out.strip()
    assert status == 0 and re.fullmatch(r"ndf_[A-Za-z0-9_-]{43}", secret)
    shown = [
        run("token", "list"),
        run("config", "show"),
        run("token", "new", "--name", "ci"),
        run("token", "revoke", "x"),
    ]
    assert [each[0] for each in shown] == [0, 0, 1, 1]
    assert "ci" in shown[0][1] and "read-only" in shown[0][1]
    assert not any(secret in text or CHOSEN in text for each in shown for text in each[1:])
    assert run("token", "revoke", "ci")[:2] == (0, "ci: revoked.\n")
    assert run("token", "revoke", "NODEFERRY_TOKEN")[0] == 1
    assert run("token", "new", "--name", "../x")[0] == 1


def test_a_chosen_token_that_is_short_is_refused_off_loopback(tmp_path: Path) -> None:
    """With what to do, and without the token in the words; on loopback any length stays."""
    result = CliRunner().invoke(
        cli,
        ["serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path)],
        env={"NODEFERRY_TOKEN": "short and known"},
    )
    assert result.exit_code == 1
    assert "at least 24 characters" in result.stderr and "short and known" not in result.output
