"""The runner as one file."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from app.remote.packer import APP_FOLDER, LIBRARIES, pack_runner


def test_it_works(tmp_path: Path) -> None:
    """The file runs with an isolated interpreter, from anywhere."""
    path = tmp_path / pack_runner().name
    path.write_bytes(pack_runner().content)
    argv = [sys.executable, "-I", "-S", str(path), "status", "00000000-0000-0000-0000-000000000000", "--nonce", "77"]
    done = subprocess.run(argv, capture_output=True, timeout=30, check=True, cwd="/", env={"HOME": str(tmp_path)})
    assert b'\x1eNF77 r {"status": "unknown"' in done.stdout


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    """Whatever their dates and the place where they are."""
    copy = tmp_path / "app"
    shutil.copytree(APP_FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copyfile)
    assert pack_runner(copy) == pack_runner()
    (copy / "runner" / "main.py").write_text("changed")
    pack_runner.cache_clear()
    assert pack_runner(copy).name != pack_runner().name


def test_only_what_runs_on_the_instance_is_in_it() -> None:
    """Our two packages, the two libraries, and the libraries' licences."""
    names = zipfile.ZipFile(io.BytesIO(pack_runner().content)).namelist()
    assert {name.split("/")[0] for name in names} == {"__main__.py", "app", "packaging", "yaml", "licenses"}
    ours = [name for name in names if name.startswith("app/")]
    assert {name.split("/")[1] for name in ours} == {"__init__.py", "protocol", "runner"}
    assert not [name for name in names if not name.endswith(".py") and not name.startswith("licenses/")]


@pytest.mark.parametrize("name", ["packaging", "PyYAML"])
def test_a_library_travels_as_it_is_installed_with_its_licences(name: str) -> None:
    """Byte for byte, with every licence file that its metadata names."""
    archive = zipfile.ZipFile(io.BytesIO(pack_runner().content))
    installed = metadata.distribution(name)
    licences = installed.metadata.get_all("License-File") or []
    assert licences
    for licence in licences:
        original = installed.read_text(f"licenses/{licence}")
        assert archive.read(f"licenses/{name}-{installed.version}/{licence}").decode() == original
    package = "packaging/requirements.py" if name == "packaging" else "yaml/scanner.py"
    assert archive.read(package) == Path(str(installed.locate_file(package))).read_bytes()


def test_the_libraries_in_it_run_on_python_3_9(tmp_path: Path) -> None:
    """Their releases say so, and vermin finds nothing newer in the files that travel. What it finds besides stands
    behind `if TYPE_CHECKING` and `if sys.version_info`."""
    for library in LIBRARIES:
        requires = metadata.distribution(library.distribution).metadata["Requires-Python"]
        assert SpecifierSet(requires).contains("3.9.0")
    zipfile.ZipFile(io.BytesIO(pack_runner().content)).extractall(tmp_path)
    guarded = [part for name in ("typing.TypeGuard", "warnings.deprecated") for part in ("--exclude", name)]
    argv = [sys.executable, "-c", "import sys, vermin; sys.exit(vermin.main())", "--quiet", "--no-tips", *guarded]
    argv += ["--target=3.9-", "--violations", str(tmp_path / "packaging"), str(tmp_path / "yaml")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    (tmp_path / "yaml" / "newer.py").write_text("match 1:\n    case 1:\n        pass\n")
    assert subprocess.run(argv, capture_output=True, timeout=120, check=False).returncode != 0


def test_it_reads_requirements_and_yaml_where_neither_library_is_installed(tmp_path: Path) -> None:
    """With an interpreter that sees no packages; and neither library is imported before it is needed."""
    path = tmp_path / pack_runner().name
    path.write_bytes(pack_runner().content)
    program = f"""
import sys
sys.path.insert(0, {str(path)!r})
import app.runner.main, app.runner.run, app.runner.standalone.standalone
assert not {{"packaging", "yaml"}} & set(sys.modules), "imported too early"
from app.protocol.yaml_text import parse_yaml
from app.runner.requirements.lines import asked_by
from app.runner.requirements.markers import holds
from app.runner.requirements.versions import satisfies
print(parse_yaml("a: 1.10"), tuple(asked_by("Some_Name[x]>=1,<2")))
print(satisfies("1.5", ">=1,<2"), holds("os_name == 'x'", {{}}))
import packaging, yaml
print(packaging.__file__.startswith({str(path)!r}), yaml.__file__.startswith({str(path)!r}), yaml.__with_libyaml__)
"""
    argv = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    expected = ["{'a': '1.10'} ('some-name', '<2,>=1')", "True False", "True True False"]
    assert done.stdout.splitlines() == expected, done.stderr


def test_by_hand_it_reads_a_yaml_snapshot_where_pyyaml_is_not_installed(tmp_path: Path) -> None:
    """`install --lock FILE` takes ComfyUI-Manager's YAML: the text is understood (its pack's URL is what is
    refused), and what is no YAML is refused with its line."""
    path = tmp_path / pack_runner().name
    path.write_bytes(pack_runner().content)
    hash_ = "1" * 40
    for text, said in [
        (f"custom_nodes:\n  git_custom_nodes:\n    ftp://host/One:\n      hash: {hash_}\n", "ftp"),
        ("git_custom_nodes:\n  a: *x\n", "line 2 has an alias of nothing"),
    ]:
        snapshot = tmp_path / "snapshot.yaml"
        snapshot.write_text(text)
        argv = [sys.executable, "-I", "-S", str(path), "install", "--lock", str(snapshot)]
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=60, check=False, env={"HOME": str(tmp_path)}
        )
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
