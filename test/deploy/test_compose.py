"""The compose file and the Dockerfile. Nothing is built here: what they say is read, by `docker compose` where that is
there. What the image's script does is test_install.py's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from app.settings import ENV_PREFIX, Settings
from test.house.sources import ROOT

FOLDER = ROOT / "deploy"
SAID = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "NODEFERRY_TOKEN": "a-token-of-24-characters-x",
    "NODEFERRY_DATABASE_PASSWORD": "secret",
}


def services() -> dict[str, Any]:
    """As written, with the parts that several share put in."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))["services"]
    return found


def ours() -> dict[str, Any]:
    """Those of our own image."""
    return {name: service for name, service in services().items() if service["image"] == "nodeferry"}


def dockerfile() -> str:
    return (FOLDER / "Dockerfile").read_text("utf-8")


def test_there_are_both_ways_to_run_it() -> None:
    """One process with one volume, or a cluster."""
    profiles = {name: service["profiles"] for name, service in services().items()}
    cluster = ("postgres", "web", "worker")
    assert profiles == {"nodeferry": ["one"], **{name: ["cluster"] for name in cluster}}
    assert services()["web"]["deploy"]["replicas"] == services()["worker"]["deploy"]["replicas"] == 2


def test_every_process_of_ours_is_guarded() -> None:
    """A read-only root, no rights, no root, and time to let go of its installs."""
    for name, service in ours().items():
        assert service["read_only"] is True, name
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        assert service["user"].startswith("${NODEFERRY_UID:-10001}")
        assert service["stop_grace_period"] == "15s"
        assert any(str(each).startswith("/tmp") for each in service["tmpfs"])
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_replicas_share_no_folder_and_have_ports_of_their_own() -> None:
    """A named volume would be one folder for both, with one lock."""
    for name in ("web", "worker"):
        service = ours()[name]
        assert [each["target"] for each in service["volumes"]] == ["/home/nodeferry/.ssh"]
        assert any(each.startswith("/data:") for each in service["tmpfs"])
    assert re.fullmatch(r"127\.0\.0\.1:(\d+)-(\d+):5000", ours()["web"]["ports"][0])


def test_every_variable_is_a_setting() -> None:
    """A misspelt one would silently do nothing."""
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields}
    said = {key for service in ours().values() for key in service["environment"]}
    said |= set(re.findall(r"\b(NODEFERRY_\w+)=", dockerfile()))
    for unit in (FOLDER / "systemd").glob("*.service"):
        said |= set(re.findall(r"\b(NODEFERRY_\w+)=", unit.read_text("utf-8")))
    assert said - known == set()


def test_no_file_names_a_host_that_packages_come_from() -> None:
    """Whoever builds has their own."""
    for file in FOLDER.rglob("*"):
        if file.is_file() and file.suffix != ".pyc":
            assert not re.search(r"pypi\.org|docker\.io|ghcr\.io|registry\.|index-url", file.read_text("utf-8")), file


def test_the_image_is_nobodys_but_the_users() -> None:
    """Not root, one volume, the exec form (a shell would not pass SIGTERM on), and a check without curl."""
    text = dockerfile()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert re.findall(r"^VOLUME (.*)$", text, re.MULTILINE) == ["/data"]
    assert 'ENTRYPOINT ["nodeferry"]' in text and 'CMD ["serve"]' in text
    assert re.search(r'^HEALTHCHECK .* CMD \["nodeferry-health"\]$', text, re.MULTILINE)
    assert "deploy/install.sh" in text and "pip install" not in text


def test_the_image_is_given_what_its_script_needs() -> None:
    """Nothing is copied that is not sent, and no secret is sent."""
    sent = {
        line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"
    }
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile(), re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        assert any(name == each or (each.endswith("*.txt") and name.startswith(each[:-5])) for each in sent), name


def compose(*words: str, said: Mapping[str, str] = SAID) -> subprocess.CompletedProcess[str]:
    """`docker compose`, or skipped."""
    alone, docker = shutil.which("docker-compose"), shutil.which("docker")
    argv = [alone] if alone else [docker or "/bin/false", "compose"]
    if subprocess.run([*argv, "version"], capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("There is no docker compose here.")
    argv += ["-f", str(FOLDER / "compose.yaml"), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=said)


def test_docker_compose_takes_it() -> None:
    """Both profiles, and what is missing is asked for."""
    done = compose("--profile", "one", "--profile", "cluster", "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["services"]
    assert set(found) == {"nodeferry", "postgres", "web", "worker"}
    without = compose("--profile", "one", "config", said={**SAID, "NODEFERRY_TOKEN": ""})
    assert "NODEFERRY_TOKEN is missing" in without.stderr
