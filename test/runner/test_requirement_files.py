"""Requirements files as packs have them, made fit for one resolution."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

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
        "e @ https://example.invalid/e#fragment\n"
    )
    found = read(tmp_path, text)
    assert found.lines == [
        "a>=1",
        "b==2",
        "c[extra,more]~=1.0 ; python_version >= '3.8'",
        "d",
        "e @ https://example.invalid/e#fragment",
    ]
    assert found.problem is None


def test_an_index_of_one_pack_does_not_become_everybodys(tmp_path: Path) -> None:
    """It is one more; torch's own is not needed."""
    text = (
        "--index-url https://example.invalid/simple\n-i=https://example.invalid/other\n"
        "--extra-index-url=https://download.example.invalid/whl/cu121\n-f ./wheels\n"
    )
    assert read(tmp_path, text).lines == [
        "--extra-index-url https://example.invalid/simple",
        "--extra-index-url https://example.invalid/other",
        f"--find-links {tmp_path}/wheels",
    ]


def test_addresses_and_editables_stay_whole(tmp_path: Path) -> None:
    """With their fragments; paths are the pack's."""
    text = "-e git+https://example.invalid/o/r.git@v1#egg=name\n-e .\n./wheels/x-1.0-py3-none-any.whl\n--editable=./y\n"
    assert read(tmp_path, text).lines == [
        "-e git+https://example.invalid/o/r.git@v1#egg=name",
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


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname", "nothere.txt", "folder", "x" * 5000, "a\0b", ""])
def test_a_nested_file_outside_of_the_pack_is_a_problem(tmp_path: Path, name: str) -> None:
    """The line is blamed on its file; nothing else is read."""
    pack = tmp_path / "pack"
    (pack / "folder").mkdir(parents=True)
    (tmp_path / "outside.txt").write_text("secret\n")
    found = read(pack, f"-r {name}\n")
    assert found.problem is not None
    assert found.problem.code == "bad_requirement"
    assert "secret" not in found.lines


def test_a_link_out_of_the_pack_is_not_followed(tmp_path: Path) -> None:
    """A repository may hold one."""
    pack = tmp_path / "pack"
    pack.mkdir()
    (tmp_path / "outside.txt").write_text("secret\n")
    (pack / "link.txt").symlink_to(tmp_path / "outside.txt")
    assert read(pack, "-r link.txt\n").problem is not None


def test_loops_end(tmp_path: Path) -> None:
    """Each file is read once, however often it is named."""
    (tmp_path / "b.txt").write_text("b\n" + "-r requirements.txt\n-r b.txt\n" * 1000)
    found = read(tmp_path, "a\n" + "-r b.txt\n-r requirements.txt\n" * 1000)
    assert (found.lines, found.problem) == (["a", "b"], None)


@pytest.mark.parametrize("line", ["<<<<<<< HEAD", "pip install x", "a b c", "==1.0", "%PDF-1.4", "\x01\x02"])
def test_a_line_that_is_no_requirement_is_blamed_on_its_file(tmp_path: Path, line: str) -> None:
    """Before a resolver has to stumble over it, with the line in the message."""
    problem = read(tmp_path, f"good\n{line}\n").problem
    if line in {"pip install x", "a b c"}:
        assert problem is None  # a name comes first: the resolver says what is wrong with the rest
    else:
        assert problem is not None
        assert "requirements.txt" in problem.message


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
    """Exactly the installed builds; ComfyUI's own lines where they are plain, without extras and options."""
    (tmp_path / "requirements.txt").write_text(
        "torch\nnumpy>=1.25\nav[x]>=14.2\n--extra-index-url https://x.invalid\n./x\n"
    )
    assert constraints(INSTALLED, tmp_path) == [
        "torch==2.9.1+cu128",
        "torchvision==0.24.1+cu128",
        "numpy>=1.25",
        "av>=14.2",
    ]
    assert constraints(INSTALLED, tmp_path / "nowhere") == ["torch==2.9.1+cu128", "torchvision==0.24.1+cu128"]


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
