"""How the command line gets in: by itself on the same folder, elsewhere by a token, never by a planted file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.entry import cli
from app.cli.server.local_login import FILE_NAME, local_login, local_secret
from test.support.service import ServiceProcess

pytestmark = pytest.mark.slow
CHOSEN = "chosen by a person, and long"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that wants a login."""
    with ServiceProcess(tmp_path_factory.mktemp("cli"), token=CHOSEN) as running:
        yield running


def run(*words: str, token: str = "") -> Result:
    return CliRunner().invoke(cli, list(words), env={"NODEFERRY_TOKEN": token})


def test_the_same_user_on_the_same_folder_types_nothing(service: ServiceProcess) -> None:
    """Whatever NODEFERRY_TOKEN says there. The secret is its owner's alone."""
    for token in ("", "another service's token"):
        result = run("tasks", "list", "--data-dir", str(service.data_dir), token=token)
        assert (result.exit_code, result.stdout) == (0, "No installs yet.\n"), result.output
    found = (service.data_dir / FILE_NAME).stat()
    assert stat.S_IMODE(found.st_mode) == 0o600 and found.st_uid == os.geteuid()


def test_the_secret_begins_no_session_of_a_browser(service: ServiceProcess) -> None:
    """It is for programs beside the service, and ends with it."""
    answer = service.post("/session", {"token": local_secret(service.data_dir)})
    assert answer.status_code == 401 and "Set-Cookie" not in answer.headers


def test_each_start_makes_another_and_the_end_removes_it(tmp_path: Path) -> None:
    """Through whatever stands at its place, and never into where that leads."""
    mine = tmp_path / "mine"
    mine.write_text("untouched")
    (tmp_path / FILE_NAME).symlink_to(mine)
    with local_login(tmp_path) as first:
        assert local_secret(tmp_path) == first
    assert local_secret(tmp_path) == "" and not os.path.lexists(tmp_path / FILE_NAME)
    with local_login(tmp_path) as second:
        assert second != first
    assert mine.read_text() == "untouched"


@pytest.mark.parametrize("planted", ["a link", "open to others", "a fifo"])
def test_a_planted_secret_is_not_sent(tmp_path: Path, planted: str) -> None:
    """A service that somebody else runs at that address learns nothing."""
    with ServiceProcess(tmp_path, token=CHOSEN) as service:
        place = service.data_dir / FILE_NAME
        kept = place.rename(tmp_path / "kept")
        if planted == "a link":
            place.symlink_to(kept)
        elif planted == "a fifo":
            os.mkfifo(place, 0o600)
        else:
            place.write_bytes(kept.read_bytes())
            place.chmod(0o644)
        result = run("tasks", "list", "--data-dir", str(service.data_dir))
        assert result.exit_code == 1 and f"{place} cannot be used" in result.stderr and "hint:" in result.stderr
        assert "status=200" not in service.log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_secret_of_another_user_is_not_sent(tmp_path: Path) -> None:
    """It is not for this user, whoever could read it."""
    with local_login(tmp_path):
        os.chown(tmp_path / FILE_NAME, 65534, 65534)
        assert local_secret(tmp_path) == ""


def test_elsewhere_a_token_is_needed_and_the_words_say_so(service: ServiceProcess) -> None:
    """By --server the secret of no folder is used; the token is in no output."""
    for wrong in ("", "a wrong token, which is long enough"):
        refused = run("tasks", "list", "--server", service.url, token=wrong)
        assert refused.exit_code == 1
        assert "--token TOKEN" in refused.stderr and "NODEFERRY_TOKEN" in refused.stderr
        assert "token new" in refused.stderr and "Authorization" not in refused.stderr
        assert not wrong or wrong not in refused.output
    assert run("tasks", "list", "--server", service.url, token=CHOSEN).exit_code == 0
    made = run("token", "new", "--data-dir", str(service.data_dir)).stdout.strip()
    assert run("tasks", "list", "--server", service.url, token=made).exit_code == 0
    assert run("token", "revoke", "token-1", "--data-dir", str(service.data_dir)).exit_code == 0
    assert run("tasks", "list", "--server", service.url, token=made).exit_code == 1


def test_a_read_only_token_is_told_apart(service: ServiceProcess) -> None:
    """It lists, and what it may not do is a sentence."""
    made = run("token", "new", "--scope", "read-only", "--data-dir", str(service.data_dir)).stdout.strip()
    assert run("tasks", "list", "--server", service.url, token=made).exit_code == 0
    refused = run("key", "new", "--server", service.url, token=made)
    assert refused.exit_code == 1 and "scope all" in refused.stderr
