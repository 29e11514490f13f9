"""A service's policies, through its settings, its API, a real sshd and the runner on an instance; and in a workflow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.protocol.policies import KINDS, Policies, laxer
from app.settings import InvalidSetting, settings_from
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, make_pack
from test.conftest import StandInFactory
from test.support.package_index import PackageIndex
from test.support.service import Json, ServiceProcess
from test.support.waiting import wait_until

CANARY = "import os\nopen(os.path.expanduser('~/canary'), 'a').write({!r})\n"
ENDED = {"completed", "failed"}
NODES = "NODE_CLASS_MAPPINGS = {}\n"


def state(progress: Json, name: str) -> str:
    """A pack's state and its reason."""
    found = next(row for row in progress["nodes"] if row["name"] == name)
    return f"{found['state']} {found['error']['code']}" if found["error"] else str(found["state"])


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    """With a wheel, and a source distribution that leaves a mark when it is built."""
    with PackageIndex(tmp_path / "index") as index:
        index.wheel("direct-tool", "1.0")
        index.sdist("built-tool", "1.0", building=CANARY.format("build"))
        yield index


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Scripts are asked about, all else is refused, and it has a list of its own."""
    folder = tmp_path_factory.mktemp("policies")
    own = folder / "known-bad.json"
    bad = {"name": "mine", "what": "we do not want it", "date": "2026", "source": "https://example.invalid/why"}
    own.write_text(json.dumps([{**bad, "packs": ["unwanted"]}]))
    with ServiceProcess(
        folder,
        policy_scripts="ask",
        policy_prestartup="refuse",
        policy_direct_urls="refuse",
        policy_indexes="refuse",
        policy_builds="refuse",
        known_bad_file=str(own),
    ) as service:
        yield service


def packs_of(git: GitServer, index: PackageIndex) -> list[Pack]:
    """A pack for each policy, and one of the service's own list."""
    wheel, files = f"{index.url}direct-tool/direct_tool-1.0-py3-none-any.whl", {"__init__.py": NODES}
    early = {**files, "prestartup_script.py": CANARY.format("early")}
    return [
        make_pack(git, "o", "script", files=files, install_py=CANARY.format("script")),
        make_pack(git, "o", "early", files=early),
        make_pack(git, "o", "url", files=files, requirements=f"direct-tool @ {wheel}\n"),
        make_pack(git, "o", "index", files=files, requirements=f"--find-links {index.url}\ndirect-tool\n"),
        make_pack(git, "o", "sdist", files=files, requirements="built-tool\n"),
        make_pack(git, "o", "unwanted", files={"__init__.py": CANARY.format("unwanted")}),
    ]


@pytest.fixture
def asked(
    git_server: GitServer, standin_factory: StandInFactory, uv_program: Path, index: PackageIndex
) -> tuple[StandIn, Json]:
    """An instance, and what is asked for on it."""
    environ = {**os.environ, "UV_DEFAULT_INDEX": index.url, "PIP_CONFIG_FILE": os.devnull}
    standin = standin_factory(git_base_url=git_server.url, with_pip=False, environ=environ)
    tool = standin.home / ".local" / "bin" / "uv"
    tool.parent.mkdir(parents=True)
    tool.symlink_to(uv_program)
    nodes = [{"name": pack.name, "repo_url": pack.url} for pack in packs_of(git_server, index)]
    request = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home), "manifest": {"nodes": nodes}}
    return standin, request


@pytest.mark.slow
@pytest.mark.sshd
@pytest.mark.registry
def test_each_policy_of_a_service_holds_on_the_instance(service: ServiceProcess, asked: tuple[StandIn, Json]) -> None:
    """The list is refused whatever the policies say. A workflow's install obeys too."""
    standin, request = asked
    task_id = service.install(standin, manifest=request["manifest"], options={"wait_seconds": 0, "ask": "ask"})
    wait_until(lambda: service.get(f"/tasks/{task_id}")["progress"]["questions"], 60, "it asks")
    [question] = service.get(f"/tasks/{task_id}")["progress"]["questions"]
    assert (question["code"], question["default"]) == ("run_install_scripts", "refuse")
    assert CANARY.format("script") in question["facts"]["items"][0]["text"]
    service.post(f"/tasks/{task_id}/answer", {"id": question["id"], "answer": "allow"})
    ended = service.ended(task_id)
    assert {row["name"]: state(ended, row["name"]) for row in ended["nodes"]} == {
        "script": "verified",
        "early": "failed prestartup_refused",
        "url": "verified direct_url_refused",
        "index": "verified index_refused",
        "sdist": "verified build_refused",
        "unwanted": "failed known_bad",
    }
    assert (standin.home / "canary").read_text() == "script"

    workflow_id = service.post("/workflow/start", request).json()["workflow_id"]
    wait_until(lambda: service.get("/workflow/state", workflow_id=workflow_id)["state"] in ENDED, 90)
    [task] = [each for each in service.get("/tasks")["tasks"] if each["task_id"] != task_id]
    again = service.get(f"/tasks/{task['task_id']}")["progress"]
    assert (state(again, "early"), state(again, "unwanted")) == ("failed prestartup_refused", "failed known_bad")
    assert (standin.home / "canary").read_text() == "script"


@pytest.mark.slow
def test_a_request_that_is_laxer_than_the_service_is_refused(service: ServiceProcess) -> None:
    """Or has no such policy: 400, which names the field."""
    urls = {"urls": ["https://github.com/owner/pack"]}
    for word in ("builds=allow", "builds=maybe", "scripts=allow", "all=refuse", "builds"):
        request = {"ssh_connection": "root@127.0.0.1 -p 1", "manifest": urls, "options": {"policies": [word]}}
        answer = service.post("/ssh/install-custom-nodes", request)
        assert (answer.status_code, "options.policies" in answer.text) == (400, True), word


@pytest.mark.parametrize(("name", "word"), [(f"policy_{kind}", word) for kind in KINDS for word in ("Ask", "no", "")])
def test_a_word_that_is_no_policy_is_refused_at_the_start(name: str, word: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        settings_from({f"NODEFERRY_{name.upper()}": word}, file=Path("/nowhere"))
    assert (refused.value.field, "allow, ask or refuse" in refused.value.message) == (name, True)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"name": "x"}]', "[" * 100_000, "\x00"])
def test_a_list_of_ones_own_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, content: str) -> None:
    """Nothing is started with a list that refuses nothing."""
    path = tmp_path / "known-bad.json"
    path.write_text(content)
    with pytest.raises(InvalidSetting, match="known to be bad"):
        settings_from({"NODEFERRY_KNOWN_BAD_FILE": str(path)}, file=Path("/nowhere"))


def test_the_stricter_word_of_each_kind_holds() -> None:
    own = Policies(scripts="ask", builds="refuse")
    asked = ["scripts=refuse", "scripts=allow", "builds=allow", "indexes=ask"]
    assert own.stricter(Policies.of_words(asked)) == Policies("refuse", "allow", "allow", "ask", "refuse")
    assert laxer(asked, own) == ("scripts=allow", "builds=allow")
