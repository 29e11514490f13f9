"""The environment is asked, not assumed: what changed, what does not fit any more, and who did it."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.markers import default_environment

from app.protocol.states import Phase, StepStatus
from app.runner.environment.consistency import complaints
from app.runner.environment.environment import Distribution, Environment, in_words
from app.runner.environment.inspection import inspect, inspect_again
from app.runner.requirements.markers import holds
from app.runner.resolve import blame_change
from app.standin.environment import make_environment
from app.standin.packs import Pack
from test.runner.rig import Rig
from test.verify.conftest import Verify

pytestmark = pytest.mark.slow

MakePack = Callable[..., Pack]
INSTALL = """
import subprocess, sys
from pathlib import Path
subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps",
                str(next(Path(__file__).parent.glob("*.whl")))], check=True)
"""


def wheel(name: str, version: str) -> bytes:
    """A wheel of one empty module."""
    folder = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{folder}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{folder}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{folder}/RECORD"])
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return content.getvalue()


def _installed(folder: Path, name: str, version: str, *requires: str) -> None:
    """A distribution's metadata in a folder of packages."""
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    lines = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}")


def test_what_does_not_fit_is_found(tmp_path: Path) -> None:
    """Missing ones and wrong versions; not extras, not other systems' requirements, not what fits."""
    made = make_environment(tmp_path / "venv", with_pip=False)
    assert complaints(inspect(str(made.python))) == frozenset()
    _installed(made.packages, "base", "1.5")
    _installed(made.packages, "user", "1.0", "Base>=2", "gone", "torch>=2", "base", "x ; extra == 'y'", "base<3,!=1.4")
    assert complaints(inspect(str(made.python))) == frozenset(
        {
            "user 1.0 needs Base>=2, and 1.5 is installed",
            "user 1.0 needs gone, and it is not installed",
        }
    )
    with pytest.raises(OSError, match="No such file"):
        inspect("/nowhere/python")


def test_another_package_of_the_same_library_does_as_well(tmp_path: Path) -> None:
    """OpenCV under another of its names, within the bounds; out of them it does not."""
    made = make_environment(tmp_path / "venv", with_pip=False)
    _installed(made.packages, "opencv_contrib_python_headless", "4.11.0.86")
    _installed(made.packages, "albucore", "0.0.24", "opencv-python-headless>=4.9.0.80")
    assert complaints(inspect(str(made.python))) == frozenset()
    _installed(made.packages, "newer", "1.0", "opencv-python>=4.12", "onnxruntime")
    assert complaints(inspect(str(made.python))) == frozenset(
        {
            "newer 1.0 needs opencv-python>=4.12, and opencv-contrib-python-headless 4.11.0.86 is installed",
            "newer 1.0 needs onnxruntime, and it is not installed",
        }
    )


def test_a_version_that_is_none_makes_nothing_fail(tmp_path: Path) -> None:
    """Debian's, beside packages that ask for it: what cannot be compared is nobody's fault."""
    made = make_environment(tmp_path / "venv", with_pip=False)
    _installed(made.packages, "distro", "1.1build1")
    _installed(made.packages, "user", "1.0", "distro>=2", "legacy>=1.0-custom-git", "Legacy ; what is this", "()")
    _installed(made.packages, "legacy", "1.0")
    (made.packages / "broken-1.dist-info").mkdir()
    (made.packages / "broken-1.dist-info" / "METADATA").write_bytes(b"\xff\xfe\0")
    found = inspect(str(made.python))
    assert complaints(found) == frozenset()
    assert found.packages["distro"] == "1.1build1"


def test_an_inspection_says_what_is_installed_where_and_from_where(tmp_path: Path) -> None:
    """In one answer: interpreter, markers, and each package with its place, origin and installer."""
    made = make_environment(tmp_path / "venv", with_pip=False)
    _installed(made.packages, "Some_Thing", "1.0", "torch>=2 ; python_version > '3'")
    about = made.packages / "Some_Thing-1.0.dist-info"
    origin = {"url": "file:///src", "dir_info": {"editable": True}}
    (about / "direct_url.json").write_text(json.dumps(origin))
    (about / "INSTALLER").write_text("uv\n")
    found = inspect(str(made.python), torch=True)
    thing = found.distributions["some-thing"]
    assert thing == Distribution(
        "Some_Thing", "1.0", str(made.packages), ("torch>=2 ; python_version > '3'",), "uv", origin
    )
    assert (thing.source, thing.editable) == ("file:///src", True)
    assert found.executable == str(made.python)
    assert (found.prefix, found.system_site) == (str(made.folder), False)
    assert found.torch is not None
    assert found.torch_family["torch"] == found.torch_version == found.torch.version
    assert set(found.markers) == set(default_environment())
    assert found.markers["sys_platform"] == "linux"
    assert str(made.packages) in found.paths
    again = inspect_again(found)
    assert again == found
    assert found.differences(again) == []


def test_who_prints_at_the_start_or_has_no_answer(tmp_path: Path) -> None:
    """The answer is found wherever it stands; without one there is no environment."""
    made = make_environment(tmp_path / "venv", with_pip=False)
    (made.packages / "noise.pth").write_text("import sys; sys.stdout.write('NODEFERRY_ENVIRONMENT {\"x\": 1}')\n")
    assert inspect(str(made.python)).version
    with pytest.raises(OSError, match="did not answer"):
        inspect("/bin/true")


MARKED = [
    ("python_version >= '3'", True),
    ("python_version < '3'", False),
    ('python_full_version >= "3.8.1" and (sys_platform == "win32" or os_name == "posix")', True),
    ("sys_platform == 'linux' and extra == 'all'", False),
    ("'linux' in sys_platform", True),
    ("sys_platform not in 'win32 darwin'", True),
    ("'3.0' <= python_version", True),
    ("platform_machine == 'no-such-machine' or implementation_name != 'cpython'", False),
    ("platform_release >= 'x'", False),
    ("extra != 'all'", True),
    ("((((" * 5000, None),
    ("never_heard == '1'", None),
    ("(python_version >= '3'", None),
    ("", None),
]


@pytest.mark.parametrize(("marker", "held"), MARKED)
def test_a_marker_is_read_as_pep_508_has_it(marker: str, held: bool | None) -> None:
    """What cannot be said is said to be so, and is nobody's fault."""
    environ = {"python_version": "3.11", "python_full_version": "3.11.7", "sys_platform": "linux", "os_name": "posix"}
    environ |= {"platform_machine": "x86_64", "implementation_name": "cpython", "platform_release": "6.1-generic"}
    assert holds(marker, environ) is held


@pytest.mark.registry
def test_it_finds_what_uv_finds_and_sees_the_systems_packages(tmp_path: Path, uv_program: Path) -> None:
    """The same pairs in an environment of its own. Where packages are the system's, uv takes what is there for missing:
    that is why it is not asked (docs/decisions)."""
    needs = ["Base>=2", "gone", "torch>=2", "ok; python_version >= '3'", "no; python_version < '3'", "e; extra == 'y'"]
    needs += [
        "lost ; sys_platform == 'linux' or os_name == 'nt'",
        "base!=1.5; python_version >= '3.8'",
        "far @ file:///x",
    ]
    plain = make_environment(tmp_path / "plain", with_pip=False)
    system = make_environment(tmp_path / "system", with_pip=False, system_packages=tmp_path / "packages")
    for made in (plain, system):
        _installed(made.packages, "base", "1.5")
        _installed(made.packages, "user", "1.0", *needs)
    ours, theirs = _pairs(complaints(inspect(str(plain.python)))), _uv_pairs(uv_program, plain.python)
    assert ours == theirs == {("user", name) for name in ("base", "gone", "ok", "lost", "far")}
    assert _pairs(complaints(inspect(str(system.python)))) == ours
    in_the_venv = system.folder / plain.packages.relative_to(plain.folder)
    _installed(in_the_venv, "needy", "1.0", "torch>=2")
    assert _pairs(complaints(inspect(str(system.python)))) == ours
    assert ("needy", "torch") in _uv_pairs(uv_program, system.python)


def _pairs(said: frozenset[str] | None) -> set[tuple[str, str]]:
    """(who, what) of our sentences."""
    found = [re.match(r"(\S+) \S+ needs ([A-Za-z0-9-]+)", line) for line in said or ()]
    return {(match.group(1), match.group(2).lower()) for match in found if match}


def _uv_pairs(uv: Path, python: Path) -> set[tuple[str, str]]:
    """(who, what) of uv's."""
    argv = [str(uv), "pip", "check", "--python", str(python)]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stderr
    return set(re.findall(r"The package `(\S+)` requires `([A-Za-z0-9-]+)", said))


def test_only_what_is_new_is_told(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """What did not fit before the run is not its fault; what its scripts changed is told."""
    assert rig.environment is not None
    _installed(rig.environment.packages, "old", "1.0", "never-there")
    script = (
        "import sysconfig; from pathlib import Path\n"
        "about = Path(sysconfig.get_path('purelib')) / 'newcomer-1.dist-info'\nabout.mkdir()\n"
        "text = 'Metadata-Version: 2.1\\nName: newcomer\\nVersion: 1\\nRequires-Dist: torch<1\\n'\n"
        "(about / 'METADATA').write_text(text)\n"
    )
    run = verify([pack("scripted", install_py=script)])
    (warning,) = run.snapshot().warnings
    assert warning.code == "changed_by_script"
    assert "The install.py of scripted changed installed packages: newcomer not installed -> 1." in warning.message
    assert "newcomer 1 needs torch<1, and 2.9.1+cu128 is installed" in warning.message
    assert "never-there" not in warning.message
    assert run.state("scripted") == "verified"


def test_a_torch_that_was_changed_fails_the_phase(verify: Verify, pack: MakePack, uv_rig: Rig) -> None:
    """By a script here, and it cannot be put back: the warning names the versions; the pack's import is its own
    verdict."""
    uv_rig.environ["UV_OFFLINE"] = "1"
    script = (
        "import sysconfig; from pathlib import Path\n"
        "site = Path(sysconfig.get_path('purelib'))\n"
        "old = next(site.glob('torchaudio-*.dist-info'))\n"
        "(old / 'METADATA').write_text((old / 'METADATA').read_text().replace('2.9.1+cu128', '2.10.0'))\n"
    )
    run = verify([pack("scripted", install_py=script)])
    snapshot = run.snapshot()
    assert [w.code for w in snapshot.warnings] == ["image_settings", "changed_by_script", "protected_changed"]
    assert all("torchaudio 2.9.1+cu128 -> 2.10.0" in warning.message for warning in snapshot.warnings[1:])
    assert snapshot.phases[Phase.VERIFY].status is StepStatus.FAILED


PATCH = (
    "import sysconfig; from pathlib import Path\n"
    "(Path(sysconfig.get_path('purelib')) / 'torch/cuda.py').write_text('def is_available():\\n    return True\\n')\n"
)


@pytest.mark.parametrize(
    ("by", "fields"),
    [("Importing the packs", {"code": PATCH}), ("The packs' install scripts", {"install_py": PATCH})],
)
def test_a_torch_that_was_patched_is_told(verify: Verify, pack: MakePack, by: str, fields: dict[str, str]) -> None:
    """torch is asked beside the imports, and once more where one of them touched it."""
    run = verify([pack("patcher", **fields), pack("good")])
    (warning,) = run.snapshot().warnings
    assert warning.code == "torch_changed"
    assert warning.message == f"{by} changed what torch says (CUDA was False): CUDA: True."
    assert run.snapshot().phases[Phase.VERIFY].status is StepStatus.FAILED
    assert run.state("patcher") == "verified"


@pytest.mark.slow
def test_a_pack_that_installs_when_it_is_imported_is_named(
    verify: Verify, pack: MakePack, rig: Rig, venv_cache: Path
) -> None:
    """By real pip: the warning says what came and who it probably was; the pack that only names pip is not blamed."""
    shutil.rmtree(rig.ui_home / "venv")
    make_environment(rig.ui_home / "venv", with_pip=True, cache=venv_cache)
    packs = [
        pack("installer", INSTALL, files={"sneaked-1.2-py3-none-any.whl": wheel("sneaked", "1.2")}),
        pack("bystander", "# run pip install something-else"),
    ]
    run = verify(packs, None)
    assert {name: node.verified for name, node in run.snapshot().nodes.items()} == {
        "installer": True,
        "bystander": True,
    }
    (warning,) = run.snapshot().warnings
    assert warning.code == "changed_at_import"
    assert "sneaked not installed -> 1.2" in warning.message
    assert "It was probably installer." in warning.message


def _environment(**packages: Distribution | str) -> Environment:
    """One with these packages."""
    found = {
        name: Distribution(name, about, "/site") if isinstance(about, str) else about
        for name, about in packages.items()
    }
    return Environment("/venv/bin/python", distributions=found)


def test_differences_are_named_by_both_sides() -> None:
    """Added, changed, removed; what stayed is not named."""
    changed = _environment(a="1", b="1", c="1").differences(_environment(a="1", b="2", d="1"))
    assert [str(item) for item in changed] == ["b 1 -> 2", "c 1 -> not installed", "d not installed -> 1"]
    assert in_words(changed, most=2) == "b 1 -> 2, c 1 -> not installed and 1 more"


def test_the_same_version_from_elsewhere_is_a_difference() -> None:
    """By its address or its folder; who installed it does not matter."""
    url = {"url": "https://host/r", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    before = _environment(a="1", b="1", c="1")
    after = _environment(
        a=Distribution("a", "1", "/site", installer="uv"),
        b=Distribution("b", "1", "/site", direct_url=url),
        c=Distribution("c", "1", "/user"),
    )
    assert [str(item) for item in before.differences(after)] == [
        "b 1 -> 1 (git+https://host/r@abc)",
        "c 1 moved from /site to /user",
    ]


def test_a_guess_needs_both_an_install_and_the_name(tmp_path: Path) -> None:
    """In any spelling of the name; a pack of one file too."""
    for name, text in {
        "guilty": "os.system('pip install Some_Package')",
        "other": "os.system('pip install else')",
        "user": "import some_package",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    (tmp_path / "single.py").write_text(
        "subprocess.check_call([sys.executable, '-m', 'pip', 'install', 'some.package'])"
    )
    assert blame_change.who(tmp_path, ["guilty", "other", "user", "single.py"], ["some-package"]) == [
        "guilty",
        "single.py",
    ]
