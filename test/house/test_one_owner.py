"""Facts that several parts need stand in one place; where a page has a copy of its own, it is the same."""

from __future__ import annotations

import ast
import json
import re

from app.protocol import task_list
from app.protocol.states import GOOD_NODE_STATES
from test.house.sources import ROOT, STANDS_ALONE, sources

JS = ROOT / "app" / "webui" / "static" / "js"
STATES_JS = JS / "core" / "states.js"
STEP_NAMES = {text for name, text in vars(task_list).items() if name.isupper()}


def _strings(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _js_constant(name: str) -> object:
    found = re.search(rf"const {name} = (.+);", STATES_JS.read_text("utf-8"))
    assert found, name
    return json.loads(found.group(1))


def test_the_pages_have_the_protocol_s_words() -> None:
    assert _js_constant("GOOD_NODE_STATES") == sorted(state.value for state in GOOD_NODE_STATES)
    assert _js_constant("RESTART_STEP") == task_list.RESTART


def test_no_other_script_has_them() -> None:
    pair = re.compile(r'"(installed|verified)"[^"]{1,20}"(installed|verified)"')
    for path in sorted(JS.rglob("*.js")):
        if path != STATES_JS:
            text = path.read_text("utf-8")
            assert not pair.search(text), path
            assert not re.search(r"name === .Restart ComfyUI.", text), path


def test_only_one_module_names_the_good_states_together() -> None:
    """A set of them elsewhere would be another opinion about what counts as good."""
    good = {state.value for state in GOOD_NODE_STATES}
    members = {state.name for state in GOOD_NODE_STATES}
    found = set()
    for source in sources("app"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Tuple | ast.List | ast.Set):
                words = {each.value for each in node.elts if isinstance(each, ast.Constant)}
                names = {each.attr for each in node.elts if isinstance(each, ast.Attribute)}
                if good == words or members == names:
                    found.add(source.path)
    assert found == {"app/protocol/states.py"}


def test_the_task_list_s_lines_are_named_in_one_module() -> None:
    found = {
        source.path: names
        for source in sources("app")
        if not source.path.startswith(STANDS_ALONE) and (names := STEP_NAMES & _strings(source.tree))
    }
    found.pop("app/protocol/task_list.py")
    assert found == {"app/sync/workflows/view.py": {task_list.RESTART}}, "a workflow's own label, which may differ"


def test_the_runner_moves_what_users_have_in_one_place() -> None:
    """Elsewhere a rename would fail for a folder of a container's image, and a move would not survive a kill."""
    packages = {"app/runner/environment/change_record.py", "app/runner/resolve/staged.py"}
    own_files = packages | {"app/runner/daemon/run_files.py", "app/runner/resolve/kept_wheels.py"}
    own_files |= {"app/runner/compiled.py", "app/runner/process/answers.py"}
    found = {
        source.path
        for source in sources("app/runner")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.rename", "os.replace", "shutil.move"}
    }
    assert found - own_files == {"app/runner/files/move.py", "app/runner/files/tree.py"}
