"""The machine's own settings for pip and uv: planning and installing see one world, and pip's settings count for uv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.protocol.events import Warned
from app.runner.environment.inspection import inspect
from app.standin.image_layers import small_disk
from app.standin.images import IMAGES, Image
from test.plan.box import Box, states
from test.plan.test_odd_environments import own_python
from test.runner.rig import Run
from test.support.package_index import PackageIndex

pytestmark = pytest.mark.registry  # uv itself comes from there; the packages do not
_SECRET = "pa55word"


@pytest.fixture
def second(tmp_path: Path) -> Iterator[PackageIndex]:
    """Another index."""
    with PackageIndex(tmp_path / "second") as index:
        yield index


def warned(run: Run, code: str) -> str:
    """What the warnings of this code said."""
    return " ".join(each.message for each in run.told(Warned) if each.code == code)


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_images_variables_change_neither_what_is_installed_nor_how_often_it_is_built(box: Box, image: Image) -> None:
    """What common public images set. A cache that is switched off would build the source archive several times."""
    box.index.wheel("plain", "1.0", ["deep"])
    box.index.wheel("deep", "1.0")
    box.index.counted_sdist("built", "1.0")
    box.environ |= image.environ(box.home)
    run = box.run_of(box.pack("A", "plain"), box.pack("B", "built"))
    assert states(run) == {"A": "installed", "B": "installed"}
    assert box.index.builds == ["built==1.0"]
    assert {"plain", "deep", "built"} <= box.freeze().keys()


def test_what_would_split_plan_and_install_is_left_out_and_told(box: Box, tmp_path: Path) -> None:
    box.index.wheel("plain", "1.0")
    box.index.wheel("plain", "2.0")
    box.index.wheel("other", "1.0")
    box.have(box.index.wheel("there", "1.0"))
    limits = tmp_path / "limits.txt"
    limits.write_text("plain<2  # the owner's\nthere<1\ntorch<1\n")
    override = tmp_path / "override.txt"
    override.write_text("other==9\n")
    box.environ |= {
        "UV_CONSTRAINT": str(limits),
        "UV_OVERRIDE": str(override),
        "UV_OFFLINE": "1",
        "UV_NO_CACHE": "1",
        "UV_REQUIRE_HASHES": "1",
        "UV_SYSTEM_PYTHON": "1",
        "UV_RESOLUTION": "lowest",
        "UV_LINK_MODE": "symlink",
        "UV_NO_BINARY": "1",
    }
    run = box.run_of(box.pack("A", "plain", "other", "there"), box.pack("B", "plain>=2"))
    assert states(run) == {"A": "installed", "B": "failed requirement_conflict"}, run.said()
    problem = run.snapshot().nodes["B"].error
    assert problem is not None
    assert "this machine's own constraints for pip and uv (plain<2)" in problem.hint
    found = box.freeze()
    assert (found["plain"], found["other"], found["there"]) == ("1.0", "1.0", "1.0")
    said = warned(run, "image_settings")
    assert "UV_NO_CACHE" in said
    assert "UV_OFFLINE" in said
    assert "there<1 (1.0 is installed)" in said
    assert "UV_LINK_MODE" not in said
    assert box.environment is not None
    assert not any(path.is_symlink() for path in box.environment.folder.rglob("plain/*"))


def test_uvs_own_files_say_where_packages_are_and_nothing_else(box: Box, second: PackageIndex) -> None:
    second.wheel("private", "1.0")
    box.index.wheel("plain", "1.0")
    del box.environ["UV_NO_CONFIG"]
    folder = box.home / ".config" / "uv"
    folder.mkdir(parents=True)
    text = 'no-cache = true\noffline = true\noverride-dependencies = [\n  "plain==7",\n]\n'
    (folder / "uv.toml").write_text(
        f'{text}[[index]]\nname = "own"\nurl = "{second.url}"\n[pip]\nrequire-hashes = true\n'
    )
    run = box.run_of(box.pack("A", "plain", "private"))
    assert states(run) == {"A": "installed"}, run.said()
    assert "override-dependencies of uv.toml" in warned(run, "image_settings")


@pytest.mark.parametrize("where", ["environment", "variables"])
def test_pips_settings_count_for_uv(box: Box, tmp_path: Path, where: str) -> None:
    """A mirror instead of the registry, one more index with a login in its address, and a folder of wheels. As for pip
    the newest version of all of them counts."""
    with PackageIndex(tmp_path / "private", login=f"me:{_SECRET}") as private:
        private.wheel("inside", "1.0")
        private.wheel("both", "1.0")
        box.index.wheel("both", "2.0")
        wheels = tmp_path / "wheels"
        wheels.mkdir()
        with PackageIndex(tmp_path / "third") as third:
            third.wheel("local", "1.0")
            next(third.folder.rglob("local*.whl")).rename(wheels / "local-1.0-py3-none-any.whl")
        settings = {
            "index-url": box.index.url,
            "extra-index-url": private.url,
            "find-links": f"{wheels} {tmp_path}/gone",
            "trusted-host": "127.0.0.1",
        }
        del box.environ["UV_DEFAULT_INDEX"]
        _write(box, settings, where)
        run = box.run_of(box.pack("A", "inside", "both", "local"))
        assert states(run) == {"A": "installed"}, run.said()
        assert box.freeze()["both"] == "2.0"
        assert _SECRET not in _all_text(box)


def test_an_index_of_pips_that_does_not_answer_is_left_out_and_told(box: Box, tmp_path: Path) -> None:
    """pip goes on without it; old images name indexes that are no more."""
    with PackageIndex(tmp_path / "gone") as gone:
        url = gone.url
    box.index.wheel("plain", "1.0")
    box.environ["PIP_EXTRA_INDEX_URL"] = url.replace("http://", f"http://me:{_SECRET}@")
    run = box.run_of(box.pack("A", "plain"))
    assert states(run) == {"A": "installed"}, run.said()
    assert "127.0.0.1" in warned(run, "index_unreachable")
    assert _SECRET not in _all_text(box)


def test_a_cache_on_a_full_disk_is_put_elsewhere_and_told(box: Box, tmp_path: Path) -> None:
    box.index.wheel("plain", "1.0")
    box.index.sdist("built", "1.0")
    small = tmp_path / "small"
    small.mkdir()
    box.environ["UV_CACHE_DIR"] = str(small / "cache")
    with small_disk(small, megabytes=1, files=20):
        run = box.run_of(box.pack("A", "plain", "built"))
    assert states(run) == {"A": "installed"}, run.said()
    assert str(small / "cache") in warned(run, "cache_moved")


def test_what_is_newer_than_the_machine_allows_is_not_seen_and_told(box: Box) -> None:
    """The index says no dates: for uv nothing of it is old enough. The reason is then told, not guessed."""
    box.index.wheel("plain", "1.0")
    box.environ["UV_EXCLUDE_NEWER"] = "2020-01-01T00:00:00Z"
    run = box.run_of(box.pack("A", "plain"))
    assert states(run)["A"].startswith("failed")
    assert "UV_EXCLUDE_NEWER is followed" in warned(run, "image_settings")


@pytest.mark.parametrize("where", ["PIP_BREAK_SYSTEM_PACKAGES", "file", "nowhere"])
def test_an_image_may_let_installers_change_the_systems_python(box: Box, tmp_path: Path, where: str) -> None:
    """PEP 668. The interpreter is one that is no virtual environment and has the system's mark."""
    box.index.wheel("plain", "1.0")
    prefix = tmp_path / "system python"
    (own_python(prefix).parent / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=it is the system's\n")
    if where == "file":
        _write(box, {"break-system-packages": "true"}, "user")
    elif where != "nowhere":
        box.environ[where] = "1"
    run = box.install([box.pack("A", "plain")], venv_path=str(prefix), options={"verify": False})
    expected = "failed externally_managed" if where == "nowhere" else "installed"
    assert run.state("A") == expected
    assert ("plain" in inspect(str(prefix / "bin" / "python")).packages) == (where != "nowhere")


def _write(box: Box, settings: dict[str, str], where: str) -> None:
    if where == "variables":
        box.environ |= {"PIP_" + name.upper().replace("-", "_"): value for name, value in settings.items()}
        return
    del box.environ["PIP_CONFIG_FILE"]
    assert box.environment is not None
    path = box.home / ".config/pip/pip.conf" if where == "user" else box.environment.folder / "pip.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    path.write_text(f"[global]\n{lines}")


def _all_text(box: Box) -> str:
    """All that the run has written about itself, but for what only uv reads."""
    own = [path for path in box.state.rglob("*") if path.is_file() and path.name != "uv.toml"]
    return "".join(path.read_text("utf-8", "replace") for path in own)
