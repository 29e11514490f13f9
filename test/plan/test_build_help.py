"""Builds that need what their package does not say: it is brought for that build alone, and told."""

from __future__ import annotations

import os

import pytest

from app.standin.packs import make_pack
from test.plan.box import Box, plan_of, states
from test.runner.rig import Run

pytestmark = pytest.mark.registry


def added(run: Run) -> list[str]:
    """What was told of builds that were helped."""
    return [told.message for told in run.snapshot().warnings if told.code == "build_requirement_added"]


def tools(box: Box) -> None:
    """Two setuptools: one with pkg_resources and one without."""
    old = {"setuptools/__init__.py": "__version__ = '80.9.0'\n", "pkg_resources/__init__.py": "old = True\n"}
    box.index.wheel("setuptools", "80.9.0", modules=old)
    box.index.wheel("setuptools", "82.0.0")


def test_a_build_that_imports_pkg_resources_gets_a_setuptools_that_has_it(box: Box) -> None:
    """Another one gets today's, and what is installed does not change."""
    tools(box)
    today = "import setuptools\nassert setuptools.__version__ == '82.0.0'"
    box.index.sdist("clip", "1.0", building="import pkg_resources", build_requires=["setuptools"])
    box.index.sdist("other", "1.0", building=today, build_requires=["setuptools"])
    run = box.run_of(box.pack("one", "clip"), box.pack("two", "other"))
    assert states(run) == {"one": "installed", "two": "installed"}, run.said()
    assert added(run) == [
        "clip cannot be built with today's setuptools. It was built with setuptools<81, for its build alone."
    ]
    assert "setuptools" not in box.freeze()
    assert {change["package"] for change in plan_of(run)} == {"clip", "other"}


@pytest.mark.parametrize(
    ("building", "name", "brought"),
    [
        ("import numpy\nassert numpy.__version__ == '1.26.4'", "numpy", "numpy==1.26.4"),
        ("import Cython", "Cython", "Cython"),
        ("import packaging.version", "packaging", "packaging"),
        ("import yaml", "PyYAML", "PyYAML"),
    ],
)
def test_a_build_gets_the_module_that_its_package_does_not_name(
    box: Box, building: str, name: str, brought: str
) -> None:
    """numpy in the version that is installed: what is compiled against it has to fit."""
    for version in ("1.26.4", "2.4.0"):
        module = {"PyYAML": "yaml"}.get(name, name)
        box.index.wheel(name, version, modules={f"{module}/__init__.py": f"__version__ = {version!r}\n"})
    box.index.wheel("packaging", "25.0", modules={"packaging/__init__.py": "", "packaging/version.py": ""})
    box.have("numpy==1.26.4") if name == "numpy" else None
    box.index.sdist("made", "1.0", building=building)
    run = box.run_of(box.pack("one", "made"))
    assert states(run) == {"one": "installed"}, run.said()
    assert [f"It was built with {brought}, for its build alone" in text for text in added(run)] == [True], added(run)


def test_a_build_that_imports_torch_sees_the_installed_one(box: Box) -> None:
    """No other torch is fetched, and the build's own requirements come first."""
    assert box.environment is not None
    box.index.wheel("torch", "99.0", modules={"torch/__init__.py": "raise SystemError\n"})
    box.index.wheel("shared", "2.0", modules={"shared/__init__.py": "__version__ = '2.0'\n"})
    box.index.wheel("shared", "1.0", modules={"shared/__init__.py": "__version__ = '1.0'\n"})
    box.have("shared==1.0")
    building = "import torch, shared\nassert torch.__version__ < '9' and shared.__version__ == '2.0'"
    box.index.sdist("made", "1.0", building=building, build_requires=["shared==2.0"])
    run = box.run_of(box.pack("one", "made"))
    assert states(run) == {"one": "installed"}, run.said()
    assert added(run) == [
        "made imports torch while it is built, and does not say so. It was built with the installed one."
    ]


def test_what_nobody_knows_is_not_fetched_for_a_build(box: Box) -> None:
    """A module's name may be anybody's package."""
    box.index.wheel("mystery", "1.0")
    box.index.sdist("made", "1.0", building="import mystery")
    run = box.run_of(box.pack("one", "made"))
    assert states(run) == {"one": "failed build_failed"}, run.said()
    error = run.snapshot().nodes["one"].error
    assert error is not None and "No module named 'mystery'" in error.message
    assert not added(run)


def test_where_the_older_tool_cannot_be_had_the_first_reason_is_told(box: Box) -> None:
    box.index.wheel("setuptools", "82.0.0")
    box.index.sdist("clip", "1.0", building="import pkg_resources", build_requires=["setuptools>=82"])
    run = box.run_of(box.pack("one", "clip"))
    error = run.snapshot().nodes["one"].error
    assert error is not None and "No module named 'pkg_resources'" in error.message, run.said()
    assert not added(run)


def test_an_old_setup_py_with_the_real_tools(box: Box) -> None:
    """As OpenAI's CLIP: its metadata can only be had by running setup.py."""
    box.environ = {name: value for name, value in box.environ.items() if not name.startswith("UV_")}
    box.environ |= {name: value for name, value in os.environ.items() if name.startswith("UV_")}
    setup = (
        "import pkg_resources\nfrom setuptools import setup\nsetup(name='clip', version='1.0', py_modules=['clip'])\n"
    )
    source = make_pack(box.git, "o", "clip-source", files={"setup.py": setup, "clip.py": "found = True\n"})
    run = box.run_of(box.pack("one", f"clip @ git+{source.url}"))
    assert states(run) == {"one": "installed"}, run.said()
    assert ["clip cannot be built with today's setuptools" in text for text in added(run)] == [True]
