"""What packs run or bring, refused and asked about: nothing of it happens unasked, and the packs say so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.protocol.events import QuestionAsked, Warned
from app.protocol.snapshot import MAX_FACTS_CHARS, MAX_QUESTION_CHARS
from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack
from test.plan.box import Box
from test.plan.conftest import box, box_factory, index
from test.runner.conftest import old_python, rig, rig_factory
from test.runner.rig import Rig, Run, git, node
from test.support.package_index import PackageIndex, source_tree
from test.support.ports import closed_port
from test.support.waiting import wait_until

__all__ = ["box", "box_factory", "index", "old_python", "rig", "rig_factory"]
pytestmark = pytest.mark.slow

CANARY = "import os\nopen(os.path.expanduser('~/canary'), 'a').write({!r})\n"
REFUSE_ALL = dict.fromkeys(("scripts", "prestartup", "direct_urls", "indexes", "builds"), "refuse")
MakePack = Callable[..., Pack]
NODES = "NODE_CLASS_MAPPINGS = {}\n"


def canary(machine: Rig) -> str:
    """What packs' own code has left."""
    path = machine.home / "canary"
    return path.read_text() if path.exists() else ""


def said(run: Run, name: str) -> str:
    """Why a pack is not good, or not all of it."""
    error = run.snapshot().nodes[name].error
    return error.message if error else ""


def answered(run: Run, *answers: str) -> Run:
    """Answers the questions in their order, and waits for the end."""
    for number, answer in enumerate(answers, 1):
        wait_until(partial(_has_asked, run, number), 60, f"question {number}")
        run.rig.call("answer", run.task_id, f"--question=q{number}", f"--answer={answer}")
    run.wait()
    return run


def _has_asked(run: Run, number: int) -> bool:
    return len(run.told(QuestionAsked)) >= number


@pytest.fixture
def pack(git_server: GitServer) -> MakePack:
    def make(name: str, files: dict[str, str] | None = None, **fields: Any) -> Pack:
        return make_pack(git_server, "o", name, files={"__init__.py": NODES, **(files or {})}, **fields)

    return make


def test_a_refused_install_script_does_not_run(rig: Rig, git_server: GitServer) -> None:
    """The pack is installed without, and its import decides whether it is good."""
    works = make_pack(git_server, "o", "works", install_py=CANARY.format("works"))
    breaks = make_pack(
        git_server, "o", "breaks", install_py=CANARY.format("breaks"), broken_import="RuntimeError('no model')"
    )
    run = rig.install([node(works), node(breaks)], policies={"scripts": "refuse"}, options={"verify": True})
    assert (run.state("works"), run.state("breaks")) == ("verified script_refused", "failed script_refused")
    assert "scripts=refuse" in said(run, "works")
    assert "no model" in said(run, "breaks")
    assert canary(rig) == ""


def test_a_request_is_stricter_than_the_service_and_never_laxer(rig: Rig, pack: MakePack) -> None:
    packs = [node(pack("p", install_py=CANARY.format("p")))]
    lax = rig.install(packs, policies={"scripts": "refuse"}, options={"policies": ["scripts=allow"]})
    assert lax.state("p") == "failed script_refused"
    strict = rig.install(packs, options={"policies": ["scripts=refuse"]})
    assert (strict.state("p"), canary(rig)) == ("failed script_refused", "")


def test_one_question_for_the_scripts_of_many_packs(rig: Rig, pack: MakePack) -> None:
    """Nobody answers 22 questions; a question has no more text than one may have, whatever the scripts say."""
    packs = [pack(f"p{number:02}", install_py=CANARY.format("x") + "# é\n" * 2000) for number in range(22)]
    run = rig.start([node(each) for each in packs], policies={"scripts": "ask"}, options={"ask": "ask"})
    answered(run, "allow")
    [question] = [each.question for each in run.told(QuestionAsked)]
    assert (question.code, question.default) == ("run_install_scripts", "refuse")
    assert [each.answer for each in question.answers] == ["refuse", "allow"]
    assert "22 packs" in question.text and len(question.text) <= MAX_QUESTION_CHARS
    assert question.facts["packs"] == [each.name for each in packs]
    assert all(each["is_cut"] and each["text"] for each in question.facts["items"])
    assert len(json.dumps(question.facts)) <= MAX_FACTS_CHARS
    assert canary(rig) == "x" * 22


def test_a_script_runs_only_with_the_text_that_was_asked_about(rig: Rig, pack: MakePack) -> None:
    """One is refused, one is allowed, and changes a third one after the question."""
    evil = CANARY.format("first") + "open('../third/install.py', 'a').write('open(\\'x\\', \\'w\\')\\n')\n"
    scripts = {"first": evil, "second": CANARY.format("second"), "third": CANARY.format("third")}
    packs = [pack(name, install_py=text) for name, text in scripts.items()]
    run = rig.start([node(each) for each in packs], policies={"scripts": "ask"}, options={"ask": "ask"})
    answered(run, "each", "allow", "refuse", "allow")
    asked = [each.question for each in run.told(QuestionAsked)]
    assert [each.text.split(" ha")[0] for each in asked] == ["3 packs", *scripts]
    assert hashlib.sha256(scripts["second"].encode()).hexdigest() in asked[2].text
    assert scripts["second"] in asked[2].text
    states = [run.state(name) for name in scripts]
    assert states == ["installed", "failed script_refused", "failed script_refused"]
    assert "you were asked" in said(run, "second") and "not the one that you were asked about" in said(run, "third")
    assert canary(rig) == "first"


def test_where_nobody_is_asked_nothing_runs_and_that_is_told(rig: Rig, pack: MakePack) -> None:
    packs = [pack("early", {"prestartup_script.py": ""}), pack("late", install_py=CANARY.format("late"))]
    run = rig.install([node(each) for each in packs], policies={"scripts": "ask", "prestartup": "ask"})
    assert (run.state("early"), run.state("late")) == ("failed prestartup_refused", "failed script_refused")
    assert [each.code for each in run.told(Warned)] == ["question_not_asked"] * 2
    assert canary(rig) == ""


def test_a_refused_prestartup_script_is_never_in_place(rig: Rig, pack: MakePack) -> None:
    """ComfyUI would run it at each start, in the import check too. A pack that is there already is left untouched, and
    not imported by this run."""
    packs = [pack("early", {"prestartup_script.py": CANARY.format("early")}), pack("other")]
    kept = pack("kept", {"prestartup_script.py": CANARY.format("kept"), "__init__.py": CANARY.format("import")})
    git(rig.custom_nodes, "clone", "-q", kept.url, "kept")
    run = rig.install([node(each) for each in (*packs, kept)], policies=REFUSE_ALL, options={"verify": True})
    states = [run.state(name) for name in ("early", "other", "kept")]
    assert states == ["failed prestartup_refused", "verified", "failed prestartup_refused"]
    assert (canary(rig), (rig.custom_nodes / "early").exists()) == ("", False)
    assert "left untouched" in said(run, "kept")


def test_prestartup_scripts_are_asked_about_before_they_are_in_place(rig: Rig, pack: MakePack) -> None:
    names = ("wanted", "unwanted")
    packs = [pack(name, {"prestartup_script.py": CANARY.format(name)}) for name in names]
    run = rig.start(
        [node(each) for each in packs], policies={"prestartup": "ask"}, options={"ask": "ask", "verify": True}
    )
    wait_until(lambda: run.told(QuestionAsked), 60, "it asks")
    assert not any((rig.custom_nodes / name).exists() for name in names)
    answered(run, "each", "refuse", "allow")  # by name
    assert [run.state(name) for name in names] == ["verified", "failed prestartup_refused"]
    assert set(canary(rig).replace("wanted", "w")) == {"w"}
    assert not (rig.custom_nodes / "unwanted").exists()


def test_a_script_cannot_bring_a_prestartup_script_later(rig: Rig, pack: MakePack) -> None:
    """Into its own folder, into another pack's, and into a new one: ComfyUI runs none of them."""
    code = CANARY.format("prestartup")
    writes = "import os\nfor folder in ('.', '../victim', '../fresh'):\n    os.makedirs(folder, exist_ok=True)\n"
    writes += f"    open(folder + '/prestartup_script.py', 'w').write({code!r})\n"
    packs = [pack("evil", install_py=writes), pack("victim")]
    run = rig.install([node(each) for each in packs], policies={"prestartup": "refuse"}, options={"verify": True})
    assert [run.state(name) for name in ("evil", "victim")] == ["verified prestartup_refused"] * 2
    assert "custom_nodes/fresh" in next(each.message for each in run.told(Warned, code="prestartup_refused"))
    assert not list(rig.custom_nodes.glob("*/prestartup_script.py"))
    assert canary(rig) == ""


def test_an_update_does_not_bring_a_prestartup_script(rig: Rig, pack: MakePack, git_server: GitServer) -> None:
    """The folder stays at the commit that was there."""
    old = pack("updated")
    git(rig.custom_nodes, "clone", "-q", old.url, "updated")
    add_commit(git_server, old, {"prestartup_script.py": CANARY.format("updated")})
    options = {"existing": "update", "verify": True}
    run = rig.install([node(old)], policies={"prestartup": "refuse"}, options=options)
    assert run.state("updated") == "failed prestartup_refused"
    assert git(rig.custom_nodes / "updated", "rev-parse", "HEAD") == old.commit
    assert (canary(rig), (rig.custom_nodes / "updated" / "prestartup_script.py").exists()) == ("", False)


# -- requirements ------------------------------------------------------------------------------------------------------


def building(name: str) -> str:
    """What a build leaves."""
    return CANARY.format(name).replace("\n", ";")


def test_refused_lines_are_left_out_and_the_others_are_not(box: Box, index: PackageIndex) -> None:
    """Each kind has its own reason. Nothing imports the packs here, so nobody says that they do without."""
    index.wheel("plain-tool", "1.0")
    wheel = index.wheel("direct-tool", "1.0")
    index.sdist("built-tool", "1.0", building=building("sdist"))
    own = {f"own/{file}": text for file, text in source_tree("own-tool", "1.0", building=building("path")).items()}
    packs = [
        box.pack("url", "plain-tool", wheel),
        box.pack("named", f"direct-tool @ {wheel}"),
        box.pack("vcs", f"vcs-tool @ git+{box.git.url}/owner/url"),
        box.pack("path", "./own", files=own),
        box.pack("editable", "-e ./own", files=own),
        box.pack("sdist", "plain-tool", "built-tool"),
        box.pack("index", f"--extra-index-url http://user:secret@127.0.0.1:{closed_port()}/", "plain-tool"),
    ]
    run = box.run_of(*packs, policies=REFUSE_ALL)
    assert {name: run.state(name) for name in run.snapshot().nodes} == {
        "url": "failed direct_url_refused",
        "named": "failed direct_url_refused",
        "vcs": "failed direct_url_refused",
        "path": "failed build_refused",
        "editable": "failed build_refused",
        "sdist": "failed build_refused",
        "index": "failed index_refused",
    }
    assert canary(box) == ""
    assert not run.told(Warned, code="pack_source_unreachable")  # nobody was asked there
    assert {"plain-tool"} == {"plain-tool", "direct-tool", "built-tool", "own-tool", "other-tool"} & box.freeze().keys()
    assert "secret" not in run.journal.read_text()


def test_a_packs_own_project_does_not_lead_past_the_policies(box: Box, index: PackageIndex) -> None:
    """Its pyproject.toml names an address, and its folder has a wheel."""
    index.wheel("named-tool", "1.0")
    other = index.wheel("named-tool-elsewhere", "1.0")
    wheel = Path(index.folder / "simple" / "named-tool" / "named_tool-1.0-py3-none-any.whl").read_bytes()
    project = dict(source_tree("own-tool", "1.0", ["named-tool"]))
    project["pyproject.toml"] += f'[tool.uv.sources]\nnamed-tool = {{ url = "{other}" }}\n'
    own = {f"own/{file}": text for file, text in project.items()}
    packs = [
        box.pack("project", "./own", files=own),
        box.pack("wheel", "./other_tool-1.0-py3-none-any.whl", files={"other_tool-1.0-py3-none-any.whl": wheel}),
    ]
    run = box.run_of(*packs, policies={"direct_urls": "refuse"})
    assert (run.state("project"), run.state("wheel")) == ("installed", "failed direct_url_refused")
    assert {"named-tool", "own-tool"} <= box.freeze().keys()


def test_lines_and_builds_are_asked_about_with_their_text(box: Box, index: PackageIndex, tmp_path: Path) -> None:
    """A question a kind; the login of an index is in none of them. Nothing is built before the answer."""
    wheel = index.wheel("direct-tool", "1.0")
    index.sdist("built-tool", "1.0", building=building("built"))
    with PackageIndex(tmp_path / "other", login="user:secret") as other:
        other.wheel("other-tool", "1.0")
        packs = [
            box.pack("one", wheel),
            box.pack("two", f"direct-tool @ {wheel}"),
            box.pack("index", f"--extra-index-url {other.url}", "other-tool"),
            box.pack("sdist", "built-tool"),
        ]
        run = box.start(packs, policies=dict.fromkeys(REFUSE_ALL, "ask"), options={"ask": "ask"})
        given = {"install_direct_urls": "refuse", "use_extra_indexes": "allow", "run_builds": "allow"}
        wait_until(partial(_answer_all, run, given), 90, "it ends")
    asked = {each.question.code: each.question for each in run.told(QuestionAsked)}
    assert sorted(each.question.code for each in run.told(QuestionAsked)) == sorted(given)
    assert [each["text"].split()[-1] for each in asked["install_direct_urls"].facts["items"]] == [wheel, wheel]
    assert "built-tool" in asked["run_builds"].text
    assert "secret" not in str(asked) and "127.0.0.1" in asked["use_extra_indexes"].text
    states = [run.state(name) for name in ("one", "two", "index", "sdist")]
    assert states == ["failed direct_url_refused", "failed direct_url_refused", "installed", "installed"]
    assert set(canary(box).replace("built", "b")) == {"b"}


def _answer_all(run: Run, given: dict[str, str]) -> bool:
    for each in run.told(QuestionAsked):
        run.rig.call("answer", run.task_id, f"--question={each.question.id}", f"--answer={given[each.question.code]}")
    return run.is_over()


def test_a_packs_own_project_brings_nothing_by_an_address(box: Box, index: PackageIndex) -> None:
    """Its dependencies may be addresses, of which the pack's requirements say nothing; also at the second step."""
    wheel = index.wheel("direct-tool", "1.0")
    other = {
        f"other/{file}": text for file, text in source_tree("other-tool", "1.0", [f"direct-tool @ {wheel}"]).items()
    }
    projects = {
        "own": {
            f"own/{file}": text for file, text in source_tree("own-tool", "1.0", [f"direct-tool @ {wheel}"]).items()
        },
        "other": other,
    }
    packs = [
        box.pack("project", "./own", files=projects["own"]),
        box.pack("editable", "-e ./other", files=projects["other"]),
    ]
    run = box.run_of(*packs, policies={"direct_urls": "refuse"})
    states = {name: run.state(name) for name in run.snapshot().nodes}
    assert "direct-tool" not in box.freeze(), states
    assert set(states.values()) == {"failed direct_url_refused"}
