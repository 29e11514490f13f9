"""A list that was made from a workflow is held against the ComfyUI of the machine before anything is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.nodemap.core_versions import core_versions
from app.protocol.core_needs import CoreClass, CoreNeeds
from app.protocol.workflow_needs import OpenClass, PackClasses, WorkflowNeeds
from app.standin.packs import Pack
from test.runner.rig import Rig, Run, node
from test.support.waiting import wait_until
from test.verify.test_restart import Running

MakePack = Callable[..., Pack]


def _core(*classes: CoreClass) -> CoreNeeds:
    return CoreNeeds(core_versions().known_to, core_versions().newest, classes)


def _start(rig: Rig, packs: list[Pack], needs: WorkflowNeeds, **options: Any) -> Run:
    manifest = {"nodes": [node(each) for each in packs], "needs": needs.to_json()}
    return rig.start(manifest, options={"verify": False, **options}, limits={"retry_waits": [0, 0.05], "question": 20})


def _ended(run: Run) -> Run:
    run.wait()
    return run


def _warned(run: Run) -> dict[str, str]:
    return {warning.code: warning.message for warning in run.snapshot().warnings}


def _put(rig: Rig, folder: str, *names: str) -> None:
    """A pack that somebody has installed."""
    path = rig.custom_nodes / folder
    path.mkdir(parents=True)
    classes = ", ".join(f"{name!r}: object" for name in names)
    (path / "__init__.py").write_text(f"NODE_CLASS_MAPPINGS = {{{classes}}}\n")


def _set_version(rig: Rig, version: str) -> None:
    (rig.ui_home / "comfyui_version.py").write_text(f'__version__ = "{version}"\n')


@pytest.fixture
def running(rig: Rig) -> Iterator[Callable[[], Running]]:
    """Starts a ComfyUI with the packs that are there by then."""
    started: list[Running] = []

    def start() -> Running:
        started.append(Running(rig))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_what_an_installed_pack_offers_is_not_installed(
    rig: Rig, pack: MakePack, running: Callable[[], Running]
) -> None:
    """The pack itself is not left out where it is there: the run deals with it as with any other."""
    fork, own, new = pack("fork"), pack("own"), pack("new")
    _put(rig, "Fork-of-another", "A", "B")
    _put(rig, "own", "C")
    running()
    needs = WorkflowNeeds(
        (PackClasses("fork", ("A", "B")), PackClasses("own", ("C",)), PackClasses("new", ("A", "D"))),
    )
    run = _ended(_start(rig, [fork, own, new], needs))
    assert list(run.snapshot().nodes) == ["own", "new"]
    text = "fork is left out: custom_nodes/Fork-of-another has what the workflow needs of it (A, B)."
    assert _warned(run)["offered_already"] == text


def test_where_no_comfyui_runs_all_packs_are_installed(rig: Rig, pack: MakePack) -> None:
    _put(rig, "Fork-of-another", "A")
    run = _ended(_start(rig, [pack("fork")], WorkflowNeeds((PackClasses("fork", ("A",)),))))
    assert {name: each.state for name, each in run.snapshot().nodes.items()} == {"fork": "installed"}


def test_a_list_of_which_everything_is_there_ends_well(
    rig: Rig, pack: MakePack, running: Callable[[], Running]
) -> None:
    _put(rig, "Fork-of-another", "A")
    running()
    run = _ended(_start(rig, [pack("fork")], WorkflowNeeds((PackClasses("fork", ("A",)),))))
    assert (run.snapshot().state, dict(run.snapshot().nodes)) == ("completed", {})


def test_a_comfyui_that_is_certainly_too_old_ends_the_run_before_anything_is_fetched(rig: Rig, pack: MakePack) -> None:
    _set_version(rig, "0.30.0")
    needs = WorkflowNeeds(core=_core(CoreClass("AddLayer", "0.31.0")))
    run = _ended(_start(rig, [pack("new")], needs))
    snapshot = run.snapshot()
    assert snapshot.error is not None
    text = "The workflow needs ComfyUI 0.31.0 or newer; this one is 0.30.0 and lacks AddLayer."
    assert (snapshot.state, snapshot.error.code, snapshot.error.message) == ("failed", "comfyui_too_old", text)
    assert not (rig.custom_nodes / "new").exists()


def test_what_is_not_certain_warns_and_stops_nothing(rig: Rig, pack: MakePack) -> None:
    _set_version(rig, "0.36.0")
    run = _ended(_start(rig, [pack("new")], WorkflowNeeds(core=_core(CoreClass("StartLoop", None)))))
    assert run.snapshot().state == "completed"
    assert _warned(run)["comfyui_too_old"].endswith("this one is 0.36.0 and may lack StartLoop.")


def test_a_person_may_install_for_an_old_comfyui_all_the_same(rig: Rig, pack: MakePack) -> None:
    _set_version(rig, "0.30.0")
    needs = WorkflowNeeds(core=_core(CoreClass("AddLayer", "0.31.0")))
    run = _start(rig, [pack("new")], needs, ask="ask")
    _answer(rig, run, "install_for_old_comfyui", "go_on")
    assert {name: each.state for name, each in _ended(run).snapshot().nodes.items()} == {"new": "installed"}


def test_a_class_of_comfyuis_own_that_the_running_one_has_is_not_too_new(
    rig: Rig, pack: MakePack, running: Callable[[], Running]
) -> None:
    """Whatever its files say of its version."""
    _set_version(rig, "0.30.0")
    _put(rig, "backport", "AddLayer")
    running()
    needs = WorkflowNeeds(core=_core(CoreClass("AddLayer", "0.31.0")))
    assert _ended(_start(rig, [pack("new")], needs)).snapshot().state == "completed"


def test_only_classes_that_this_machine_lacks_are_asked_about(
    rig: Rig, pack: MakePack, running: Callable[[], Running]
) -> None:
    """The pack that is chosen is installed with the others."""
    _put(rig, "there", "Known")
    running()
    chosen = pack("chosen")
    needs = WorkflowNeeds(
        open_classes=(
            OpenClass("Known", (pack("one").url, pack("other").url)),
            OpenClass("Unknown", (pack("third").url, chosen.url)),
        )
    )
    run = _start(rig, [pack("new")], needs, ask="ask")
    _answer(rig, run, "which_node_pack", "2")
    snapshot = _ended(run).snapshot()
    assert {name: each.state for name, each in snapshot.nodes.items()} == {"new": "installed", "chosen": "installed"}
    assert [each.asked.facts["class"] for each in snapshot.questions.values()] == ["Unknown"]
    assert "Known" in _warned(run)["offered_already"]


def _answer(rig: Rig, run: Run, code: str, answer: str) -> None:
    def asked() -> str | None:
        return next((each.asked.id for each in run.snapshot().questions.values() if each.asked.code == code), None)

    wait_until(lambda: asked() is not None, 20, "the question is asked")
    rig.call("answer", run.task_id, "--question", str(asked()), "--answer", answer)
