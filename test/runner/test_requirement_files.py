"""Requirements files as packs have them, made fit for one resolution."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.runner.environment.torch_companions import as_lines, companion_bounds
from app.runner.environment.torch_family import is_protected, protected_name
from app.runner.requirements.files import decode
from app.runner.requirements.lines import canonical
from app.runner.resolve.protection import Requirements, constraints, never, read_requirements

INSTALLED = {"torch": "2.9.1+cu128", "torchvision": "0.24.1+cu128", "numpy": "2.0.0"}


def read(folder: Path, content: str | bytes, name: str = "requirements.txt") -> Requirements:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_requirements(path, folder, INSTALLED)


@pytest.mark.parametrize(
    "raw",
    [
        b"caf\xc3\xa9\nb>=1\n",
        codecs.BOM_UTF8 + "café\r\nb>=1\r\n".encode(),
        "café\r\nb>=1".encode("utf-16"),
        codecs.BOM_UTF16_BE + "café\nb>=1".encode("utf-16-be"),
        "café\nb>=1".encode("utf-16-le"),
        "café\nb>=1".encode("utf-16-be"),
        b"caf\xe9\nb>=1\n",
    ],
)
def test_every_usual_encoding_is_read(raw: bytes) -> None:
    """With and without a byte order mark, with either line end."""
    assert decode(raw).split() == ["café", "b>=1"]


def test_comments_continuations_hashes_and_options(tmp_path: Path) -> None:
    """What only pip knows is dropped, what a resolver needs stays."""
    text = (
        "# a comment\n\n  a>=1 # why\nb==2 \\\n   --hash=sha256:aa \\\n  --hash sha256:bb\n"
        "c[extra,more]~=1.0 ; python_version >= '3.8'\n--pre\n--no-binary :all:\nd --global-option=x\n"
        "e @ https://example.invalid/e.zip#fragment\n"
    )
    found = read(tmp_path, text)
    assert found.lines == [
        "a>=1",
        "b==2",
        "c[extra,more]~=1.0 ; python_version >= '3.8'",
        "d",
        "e @ https://example.invalid/e.zip#fragment",
    ]
    assert found.problem is None


def test_places_and_rules_of_a_pack_are_its_own(tmp_path: Path) -> None:
    """They are no lines for a resolver. torch's own index is not needed; another one of that path is one like any."""
    (tmp_path / "wheels").mkdir()
    text = (
        "--index-url https://example.invalid/simple\n-i=https://example.invalid/other\n"
        "--extra-index-url=https://download.example.invalid/whl/cu121\n-f ./wheels\n"
        "--extra-index-url https://download.pytorch.org/whl/cu128\n"
        "--find-links https://me:word@download.pytorch.org.example.invalid/whl --trusted-host example.invalid --pre\n"
        "--no-binary :all: --only-binary=A_b,c --prefer-binary --no-build-isolation\n"
        "--find-links ../outside\n--use-feature=x\n--nonsense\nnum\\\npy>=1 --hash=sha256:aa\n"
    )
    found = read(tmp_path, text)
    assert found.lines == ["numpy>=1"]
    options = found.options
    assert [(place.is_index, place.host) for place in options.locations] == [
        (True, "example.invalid"),
        (True, "example.invalid"),
        (True, "download.example.invalid"),
        (False, "the pack's own wheels"),
        (False, "download.pytorch.org.example.invalid"),
    ]
    assert (options.pre, options.prefers_wheels, options.no_build_isolation) == (True, True, True)
    assert (options.no_binary, options.only_binary) == ([":all:"], ["a-b", "c"])
    assert options.trusted == ["example.invalid"]
    assert [told.split(":")[0] for told in options.told] == [f"requirements.txt, line {n}" for n in (8, 9, 10)]


@pytest.mark.parametrize(
    "text",
    [
        "--extra-index-url https://${NOT_SET_ANYWHERE}/simple\n",
        "--find-links /etc\n",
        "--find-links https://[h/\n",
        "--find-links ftp://h/\n",
        "--trusted-host a/b\n",
        "--index-url\n",
        "--only-binary a;b\n",
        "--find-links '\n",
        "--odd=https://me:pa55word@h/\n",
    ],
)
def test_an_option_that_cannot_be_followed_is_told(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert not found.options.are_any
    assert len(found.options.told) == 1, found.options.told
    assert found.options.told[0].startswith("requirements.txt, line 1: ")
    assert "pa55word" not in found.options.told[0]


def test_addresses_and_editables_stay_whole(tmp_path: Path) -> None:
    """With their fragments; paths are the pack's."""
    text = "-e git+https://example.invalid/o/r.git@v1#egg=name\n-e .\n./wheels/x-1.0-py3-none-any.whl\n--editable=./y\n"
    for folder in (tmp_path, tmp_path / "y"):
        folder.mkdir(exist_ok=True)
        (folder / "pyproject.toml").touch()
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "x-1.0-py3-none-any.whl").touch()
    assert read(tmp_path, text).lines == [
        "git+https://example.invalid/o/r.git@v1#egg=name",
        f"-e {tmp_path}",
        f"{tmp_path}/wheels/x-1.0-py3-none-any.whl",
        f"-e {tmp_path}/y",
    ]


def test_nested_files_are_read_in(tmp_path: Path) -> None:
    """In each spelling, relative to the file that names them."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a=1.txt").write_text("a\n-r b.txt\n")
    (tmp_path / "more" / "b.txt").write_text("b\n")
    (tmp_path / "c.txt").write_text("c\n")
    found = read(tmp_path, "-r more/a=1.txt\n-rc.txt\n--requirement=c.txt\nd\n")
    assert (found.lines, found.problem) == (["a", "b", "c", "d"], None)


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname", "nothere.txt", "folder", "x" * 5000, ""])
def test_a_nested_file_outside_of_the_pack_is_a_problem(tmp_path: Path, name: str) -> None:
    """The line is blamed on its file; nothing else is read."""
    pack = tmp_path / "pack"
    (pack / "folder").mkdir(parents=True)
    (tmp_path / "outside.txt").write_text("secret\n")
    found = read(pack, f"-r {name}\nb\n")
    problem = found.bad.problem(has_others=True)
    assert problem is not None
    assert problem.code == "bad_requirement"
    assert found.lines == ["b"]


def test_a_link_out_of_the_pack_is_not_followed(tmp_path: Path) -> None:
    """A repository may hold one."""
    pack = tmp_path / "pack"
    pack.mkdir()
    (tmp_path / "outside.txt").write_text("secret\n")
    (pack / "link.txt").symlink_to(tmp_path / "outside.txt")
    assert [each.line for each in read(pack, "-r link.txt\n").bad.found] == ["-r link.txt"]


def test_loops_end(tmp_path: Path) -> None:
    """Each file is read once, however often it is named."""
    (tmp_path / "b.txt").write_text("b\n" + "-r requirements.txt\n-r b.txt\n" * 1000)
    found = read(tmp_path, "a\n" + "-r b.txt\n-r requirements.txt\n" * 1000)
    assert (found.lines, found.problem) == (["a", "b"], None)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("<<<<<<< HEAD", "merge conflict"),
        ("=======", "merge conflict"),
        (">>>>>>> main", "merge conflict"),
        ("pip install x", "a command"),
        ("$ pip install x", "a command"),
        ("import x", "Python code"),
        ("from x import y", "Python code"),
        ("name=1.2", "as for conda"),
        ("name=1.2=py310_0", "as for conda"),
        ("name@1.2", "as for npm"),
        ("'x>=1'", "quotes"),
        ("[project]", "another kind of file"),
        ("dependencies:", "another kind of file"),
        ("oid sha256:ab", "Git LFS"),
        ("a, b", "several packages"),
        ("a; b", "several packages"),
        ("a b", "several packages"),
        ("- x", "as a list"),
        ("<td>x</td>", "a web page"),
        ("C:\\wheels\\x.whl", "a path of Windows"),
        (".\\wheels\\x-1.0-py3-none-any.whl", "no such file"),
        ("–extra x", "a dash"),
        ("a b c", "no requirement"),
        ("==1.0", "no requirement"),
        ("x==1.0-weird", "no requirement"),
        ("x===weird", "no requirement"),
        ("x ; bogus == '1'", "no requirement"),
        ("x>=1#glued", "no requirement"),
        ("404: Not Found", "another kind of file"),
        ("https://example.invalid/o/r", "a page"),
        ("https://example.invalid/o/r.git", "a page"),
        ("git@example.invalid:o/r.git", "no such file"),
        ("git://example.invalid/o/r", "git+ before it"),
        ("hg+https://example.invalid/r", "repositories of hg"),
        ("x @ there/is/none", "no such file"),
        ("../outside", "leads out"),
        ("/etc", "leads out"),
        ("-e ..", "leads out"),
        ("x @ file:///etc/x-1.0-py3-none-any.whl", "leads out"),
        ("git+file:///etc", "leads out"),
        ("./link/x", "leads out"),
        ("./empty", "no pyproject.toml"),
        ("./requirements.txt", "no wheel and no archive"),
        ("./odd.whl", "name of a wheel"),
        ("${NODEFERRY_UNSET}/x.whl", "NODEFERRY_UNSET"),
        ("https://${NODEFERRY_UNSET}@example.invalid/x.zip", "NODEFERRY_UNSET"),
        ("x" * 6000, "longer than any"),
    ],
)
def test_a_line_that_cannot_be_had_is_left_out_with_its_reason(tmp_path: Path, line: str, why: str) -> None:
    """Before a resolver has to stumble over it; the other lines stay, and what is told is bounded."""
    pack = tmp_path / "pack"
    (pack / "empty").mkdir(parents=True)
    (pack / "odd.whl").touch()
    (pack / "link").symlink_to(tmp_path)
    found = read(pack, f"good\n{line}\nbetter>=1\n")
    assert found.lines == ["good", "better>=1"]
    assert [each.line for each in found.bad.found] == [line[:200]]
    problem = found.bad.problem(has_others=True)
    assert problem is not None and why in problem.message and len(problem.message) < 500


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html>\nnumpy\n", b"\n <html>\nx\n", b"%PDF-1.4\nx\n", b"\1\2\n\3\nx\n"]
)
def test_what_is_no_list_of_packages_names_none(tmp_path: Path, content: bytes) -> None:
    """A word in it would be taken for a package's name, and anybody may have published that."""
    found = read(tmp_path, content)
    assert found.lines == []
    assert found.problem is not None and "not a list of packages" in found.problem.message


def test_lines_are_read_as_pip_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Continuations, comments, tabs and form feeds, variables, what older versions of pip took, doubled lines."""
    monkeypatch.setenv("NODEFERRY_VERSION", "7")
    text = (
        "joi\\\nned>=\\\n1\nnot \\\n# joined\n\tta\tb>=1\n"
        "\ttab\t>=\t1\t# c\nfeed\x0ced\nspace\u00a0>=1\nin\u200bvisible\n"
        "v==${NODEFERRY_VERSION}\ntwo>=1<2\nstar>=1.*\ncomma>=1,\nquotes=='1'\nsame\nsame\nlast\\"
    )
    found = read(tmp_path, text)
    wanted = "joined>=1|not|tab >= 1|feed|ed|space >=1|invisible|v==7|two>=1,<2|star>=1|comma>=1,|quotes==1|same|last"
    assert found.lines == wanted.split("|")
    assert [each.line for each in found.bad.found] == ["ta b>=1"]


def test_files_and_folders_of_the_pack_by_every_form(tmp_path: Path) -> None:
    """Relative to the pack, as pip takes them when it is called there; names with spaces too."""
    for name in ("lib", "more/lib", "sp ace"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "setup.py").touch()
    for name in ("x-1.0-py3-none-any.whl", "more/y-1.0-py3-none-any.whl"):
        (tmp_path / name).touch()
    where, address = str(tmp_path), tmp_path.as_uri()
    forms = {
        "x-1.0-py3-none-any.whl": f"{where}/x-1.0-py3-none-any.whl",
        "more/y-1.0-py3-none-any.whl; a=='b'": f"{where}/more/y-1.0-py3-none-any.whl ; a=='b'",
        "x @ file:x-1.0-py3-none-any.whl": f"x @ {address}/x-1.0-py3-none-any.whl",
        "x@./x-1.0-py3-none-any.whl": f"x @ {address}/x-1.0-py3-none-any.whl",
        f"y @ {address}/more/y-1.0-py3-none-any.whl": f"y @ {address}/more/y-1.0-py3-none-any.whl",
        "./lib": f"{where}/lib",
        "more/lib/": f"{where}/more/lib",
        "-e lib": f"-e {where}/lib",
        "-e ./more/lib[extra]": f"-e {where}/more/lib[extra]",
        "-e file:lib#egg=lib": f"-e {where}/lib",
        "./more#subdirectory=lib": f"{where}/more/lib",
        "'./sp ace'": None,
        "./sp ace": f"{where}/sp ace",
        "lib": "lib",
    }
    for line, wanted in forms.items():
        assert read(tmp_path, f"{line}\n").lines == ([wanted] if wanted else []), line


def test_a_packs_constraints_narrow_its_own_lines(tmp_path: Path) -> None:
    """They bring no package, and bind nobody else; their path is relative to the file that names it."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "all.txt").write_text("-c bounds.txt\na\n")
    (tmp_path / "sub" / "bounds.txt").write_text("a<2\nb<3\n")
    found = read(tmp_path, "-r sub/all.txt\n")
    assert found.lines == ["a", "a<2"]
    assert found.options.constraints == ["b<3"]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("torch", "torch"),
        ("Torch>=2.0,<3", "torch"),
        ("torch[opt]==2.1 ; sys_platform == 'linux'", "torch"),
        ("torch @ https://example.invalid/torch-2.1-cp310-linux_x86_64.whl", "torch"),
        ("https://example.invalid/whl/torch-2.1%2Bcu121-cp310-cp310-linux_x86_64.whl", "torch"),
        ("git+https://example.invalid/o/flash-attention.git@v2", "flash-attn"),
        ("git+https://example.invalid/o/r#egg=xformers", "xformers"),
        ("-e git+https://example.invalid/o/SageAttention", "sageattention"),
        ("nvidia_cublas_cu12==1", "nvidia-cublas-cu12"),
        ("triton", "triton"),
        ("torchmetrics", None),
        ("torchsde>=0.2", None),
        ("nvidia_ml_py==13.0", None),
        ("pynvml", None),
        ("pytorch-lightning", None),
        ("open_clip_torch", None),
        ("--extra-index-url https://example.invalid/torch", None),
        ("git+https://example.invalid/o/torch-tools.git", None),
    ],
)
def test_the_torch_family_is_recognised(line: str, name: str | None) -> None:
    """By name in any spelling, by a wheel's name, by a repository's; and nothing that only sounds like it."""
    assert protected_name(line) == name


def test_the_torch_family_is_taken_out(tmp_path: Path) -> None:
    """What is installed is held, what is not is left out and told; what does no harm may be installed."""
    found = read(tmp_path, "torch>=99\ntorchvision==0.1\nxformers\ntorchsde\nnvidia-ml-py\nnumpy\n")
    assert found.lines == ["torchsde", "nvidia-ml-py", "numpy"]
    assert found.held == ["torch>=99", "torchvision==0.1"]
    assert found.left_out == ["xformers"]


def test_constraints_hold_the_family_and_comfyuis_own(tmp_path: Path) -> None:
    """Exactly the installed builds, companions of torch in what fits it; ComfyUI's own lines where they are plain,
    without extras and options."""
    companions = as_lines(companion_bounds(INSTALLED))
    assert companions
    (tmp_path / "requirements.txt").write_text(
        "torch\nnumpy>=1.25\nav[x]>=14.2\n--extra-index-url https://x.invalid\n./x\n"
    )
    assert constraints(INSTALLED, tmp_path) == [
        "torch==2.9.1+cu128",
        "torchvision==0.24.1+cu128",
        *companions,
        "numpy>=1.25",
        "av>=14.2",
    ]
    family = ["torch==2.9.1+cu128", "torchvision==0.24.1+cu128"]
    assert constraints(INSTALLED, tmp_path / "nowhere") == [*family, *companions]


def test_overrides_that_never_apply_name_the_installed_family() -> None:
    """For a resolution that cannot see it."""
    assert {"torch ; sys_platform == 'never'", "torchvision ; sys_platform == 'never'"} <= set(never(INSTALLED))


PIECES = st.sampled_from(
    [
        b"-r ",
        b"-e ",
        b"--hash=",
        b"requirements.txt",
        b"\\\n",
        b"#",
        b"torch",
        b"\xff\xfe",
        b"\0",
        b"..",
        b"/",
        b"[",
        b"=",
    ]
)


@given(st.lists(PIECES | st.binary(max_size=20), max_size=30).map(b"".join))
@example(b"-r a\0b\n")
@example(b"\xff\xfe-\0")
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_file_is_too_odd(tmp_path: Path, content: bytes) -> None:
    """Whatever the bytes: lines that can be written to a file, and not one of the torch family that is installed."""
    found = read(tmp_path, content)
    text = "\n".join(found.lines).encode("utf-8")
    assert b"\0" not in text
    assert not [line for line in found.lines if (protected_name(line) or "") in INSTALLED]


@given(st.text(alphabet="torchTORCH-_. ", max_size=12))
def test_protection_does_not_depend_on_spelling(name: str) -> None:
    """Names that are the same package are treated the same."""
    assert is_protected(name) == is_protected(canonical(name))
