"""What a case is: what is wrong, and what a user must then be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.standin.git_rules import RepoRule
from app.standin.instance import StandIn
from app.standin.packs import PackSource

Prepare = Callable[[StandIn, str, str], None]
"""(instance, the pack's name, its repository's address)."""
NODES = "NODE_CLASS_MAPPINGS = {}\n"


@dataclass(frozen=True, slots=True)
class Expected:
    """How a pack must end: its state, its reason's code (None: no error at all), and words that its hint must have.

    `{TITLE}` in the hint is the name of another pack of the scenario.
    """

    state: str
    code: str | None = None
    hint: str = ""


GOOD = Expected("verified")


@dataclass(frozen=True, slots=True)
class Fault:
    """One pack and its expected end.

    source: what is in it; in its requirements and its install.py `{folder}` is a folder of the bench and `{server}` a
    server on loopback with `model.bin` and an index `simple/`. rule: how git serves it; entry: more of its manifest
    entry; prepare: what is done to the instance before.
    """

    title: str
    expected: Expected
    source: PackSource = field(default_factory=PackSource)
    rule: RepoRule | None = None
    entry: Mapping[str, Any] = field(default_factory=dict)
    prepare: Prepare | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Faults that do not disturb each other, in one install, with two packs beside them.

    have: packages installed beforehand; standin, request: more arguments of StandIn (its environment has no pip, unless
    said), more fields of the runner's request; environ: variables of the instance, `{folder}` as in a fault; plain,
    needy: how the two end, the one without requirements and the one with; run: how the run itself ends; warnings: the
    codes of all that it warns of.
    """

    title: str
    faults: Sequence[Fault] = ()
    have: Sequence[str] = ()
    standin: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    with_uv: bool = True
    mount: str | None = None
    """`read-only`, or the size of a tmpfs: what `mounted` is. Needs root."""
    mounted: str = "custom_nodes"
    """`custom_nodes`, or `venv`."""
    plain: Expected = GOOD
    needy: Expected = GOOD
    run: Expected = Expected("completed")
    warnings: Sequence[str] = ()


def failed(code: str, hint: str) -> Expected:
    """It is failed, and told so."""
    return Expected("failed", code, hint)


def works_all_the_same(code: str, hint: str) -> Expected:
    """Something of it failed and is told; its import is good, and that decides."""
    return Expected("verified", code, hint)


def needs(text: str | bytes, *imports: str, **more: Any) -> PackSource:
    """A pack that asks for packages and imports modules."""
    if isinstance(text, bytes):
        return PackSource(files={"requirements.txt": text}, imports=imports, **more)
    return PackSource(requirements=text, imports=imports, **more)


def asserting(requirements: str, code: str) -> PackSource:
    """A pack that asks for packages and notices at its import whether they are the right ones."""
    return PackSource(requirements=requirements, files={"__init__.py": f"{code}\n{NODES}"})


def scripted(script: str) -> PackSource:
    """A pack that cannot be imported before its script made `made.txt`."""
    text = "from pathlib import Path\nPath(__file__).with_name('made.txt').read_bytes()\n"
    return PackSource(install_py=script, files={"__init__.py": text + NODES})


def importing(code: str) -> PackSource:
    """A pack that does this when it is imported."""
    return PackSource(files={"__init__.py": code})
