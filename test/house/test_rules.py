"""Rules of the house that the linters cannot say, or can only switch off for a whole folder."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions

from test.house.sources import ROOT, STANDS_ALONE, imports, sources

BROAD_EXCEPT_ROOMS = {
    "app/sync/background_tasks.py": "the top of a task's thread",
    "app/cli/server/connection.py": "the loop goes on without the answer that it would have had at once",
    "app/runner/run.py": "the runner's main: the journal gets its terminal event",
    "app/runner/environment/package_metadata.py": "strangers' packages and their finders may raise anything",
    "app/runner/process/within.py": "carries the error over to the thread that waits, which raises it",
    "app/remote/deadline.py": "carries the error over to the thread that waits, which raises it",
}
"""Flask's last handler is the third of ARCHITECTURE.md's places; Flask itself catches for it."""

IN_THE_ZIPAPP = {"packaging": "app/runner/requirements/", "yaml": "app/protocol/yaml_text.py"}


def test_nobody_sleeps_or_mocks() -> None:
    """Code waits for something that happens, and tests use real things."""
    banned = {"time.sleep", "asyncio.sleep", "unittest.mock", "mock"}
    found = [
        f"{source.path}:{line} {name}"
        for source in sources("app", "test", "bench")
        for name, line in _names(source.tree)
        if name in banned or name.startswith("unittest.mock.")
    ]
    assert not found


def test_broad_excepts_stand_at_named_places_only() -> None:
    """Elsewhere an error that nobody expected must surface; catching all to clean up and raise again is fine."""
    found = [
        f"{source.path}:{handler.lineno}"
        for source in sources("app")
        if source.path not in BROAD_EXCEPT_ROOMS and not source.path.startswith(STANDS_ALONE)
        for handler in ast.walk(source.tree)
        if isinstance(handler, ast.ExceptHandler) and _is_broad(handler) and not _raises_again(handler)
    ]
    assert not found


def test_modules_and_functions_stay_short() -> None:
    """A module has 400 lines at most, a function 50."""
    found = [f"{s.path}: {n} lines" for s in sources("app", "test", "bench") if (n := len(s.text.splitlines())) > 400]
    found += [
        f"{source.path}:{node.lineno} {node.name}: {length} lines"
        for source in sources("app", "test", "bench")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > 50
    ]
    assert not found


def test_what_runs_on_the_instance_needs_only_the_standard_library_and_what_travels_with_it() -> None:
    """No package is installed for the runner: two libraries are in its zipapp, each for one room."""
    ours = ("app.protocol.", "app.runner.")
    found = [
        f"{source.path}:{line} {name}"
        for source in sources("app/protocol", "app/runner")
        for name, line in imports(source.tree)
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith(ours)
        if not source.path.startswith(IN_THE_ZIPAPP.get(name.partition(".")[0], "nowhere"))
    ]
    assert not found


def test_every_imported_package_is_pinned_by_name() -> None:
    """What app imports by name is named in a requirements file: another package may stop bringing it along."""
    files = ("requirements.in", "requirements-notify.in", "requirements-postgresql.in")
    pinned = {_canonical(line.split("==")[0].partition("[")[0]) for file in files for line in _requirements(file)}
    distributions = packages_distributions()
    imported = {
        name.partition(".")[0]: f"{source.path}:{line}"
        for source in sources("app")
        if not source.path.startswith(STANDS_ALONE)
        for name, line in imports(source.tree)
    }
    found = [
        f"{where} {package}"
        for package, where in imported.items()
        if package not in sys.stdlib_module_names and package != "app"
        if not pinned & {_canonical(name) for name in distributions.get(package, [package])}
    ]
    assert not found


def test_every_requirement_is_pinned() -> None:
    """A set-up today and one in a year install the same."""
    assert all(
        re.fullmatch(r"[a-z0-9-]+==[0-9][0-9.]*", line)
        for line in _requirements("requirements.in", "requirements-dev.in")
    )


def _names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    yield from imports(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}", node.lineno


def _is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in kinds)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    return isinstance(handler.body[-1], ast.Raise)


def _requirements(*files: str) -> list[str]:
    lines = [line for name in files for line in (ROOT / name).read_text("utf-8").splitlines()]
    return [line.partition("  #")[0] for line in lines if line and not line.startswith(("#", "-r"))]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower().strip()
