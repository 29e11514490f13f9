"""Instances as they are: noisy shells, banners, folders with odd names, environments without pip."""

from __future__ import annotations

import pytest

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.conftest import StandInFactory
from test.support.service import ServiceProcess

pytestmark = pytest.mark.sshd


def test_the_auto_installer_s_list_is_the_default(
    service_with_list: ServiceProcess, git_server: GitServer, standin: StandIn
) -> None:
    """Without a manifest the runner clones the configured repository and reads its list."""
    pack = make_pack(git_server, "o", "pack")
    text = f"Name,RepoUrl,Subfolder,RequirementsFile\npack,{pack.url},,\n"
    make_pack(git_server, "o", "list", files={"scripts/custom_nodes.csv": text})
    last = service_with_list.ended(service_with_list.install(standin))
    assert last["outcome"] == "all"
    steps = {step["name"]: step["status"] for step in last["steps"]}
    assert steps["Clone Auto-installer"] == "success"
    assert [row["name"] for row in last["nodes"]] == ["pack"]


def test_a_list_that_cannot_be_fetched_ends_the_run_with_the_reason(
    service_with_list: ServiceProcess, standin: StandIn
) -> None:
    """There is nothing to install then, and nothing is said to be installed."""
    last = service_with_list.ended(service_with_list.install(standin))
    assert (last["state"], last["error"]["code"]) == ("failed", "manifest_unavailable")
    assert {step["name"]: step["status"] for step in last["steps"]}["Clone Auto-installer"] == "failed"


@pytest.fixture
def service_with_list(service: ServiceProcess, git_server: GitServer) -> ServiceProcess:
    """A service whose default list is on the test's git server."""
    service.stop()
    service._environ["NODEFERRY_AUTO_INSTALLER_REPO"] = f"{git_server.url}/o/list"
    service.start()
    return service


@pytest.mark.registry
def test_an_environment_without_pip_gets_its_packages(
    service: ServiceProcess, git_server: GitServer, standin_factory: StandInFactory
) -> None:
    """As uv makes them: uv installs into it, and the torch family is not touched. One bad requirement costs its own
    pack alone: one resolution for all fails, then each pack stands for itself."""
    bare = standin_factory(with_pip=False)
    before = bare.family_fingerprint()
    pack = make_pack(git_server, "o", "pack", requirements="humanize\ntorch>=2\n", imports=("humanize",))
    bad = make_pack(git_server, "o", "bad", requirements="nodeferry-no-such-package==1.0\n", imports=("no_such",))
    last = service.ended(service.install(bare, manifest={"urls": [pack.url, bad.url]}), 150)
    assert last["outcome"] == "partial", last
    rows = {row["name"]: row for row in last["nodes"]}
    assert (rows["pack"]["state"], rows["pack"]["requirements_status"]) == ("verified", "success")
    assert (rows["bad"]["state"], rows["bad"]["requirements_status"]) == ("failed", "failed")
    assert rows["bad"]["error"]["code"] == "requirement_not_found"
    assert list(bare.venv.glob("lib/python*/site-packages/humanize"))
    assert bare.family_fingerprint() == before
