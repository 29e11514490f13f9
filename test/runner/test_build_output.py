"""How far a build is, from lines that builds really print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runner.resolve.build_output import MAX_CHARS, build_detail

NVCC = (
    "      [4/85] /home/u/cuda/cuda-12.2/bin/nvcc --generate-dependencies-with-compile --dependency-output /tmp/a/b.o.d"
    " -I/tmp/pip-install-x/flash-attn/csrc/flash_attn%s -c /tmp/pip-install-x/flash-attn/csrc/flash_attn/src/"
    "flash_bwd_hdim128_bf16_sm80.cu -o /tmp/flash_bwd_hdim128_bf16_sm80.o --expt-relaxed-constexpr -O3"
)
GCC = (
    "      gcc -Wno-unused-result -Wsign-compare -DNDEBUG -fPIC -I/usr/include/python3.10 "
    "-c insightface/thirdparty/face3d/mesh/cython/mesh_core.cpp -o build/temp.linux-x86_64/mesh_core.o"
)


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (NVCC % "", "[4/85] flash_bwd_hdim128_bf16_sm80.cu"),
        (NVCC % (" -I/some/include" * 400), "[4/85] flash_bwd_hdim128_bf16_sm80.cu"),
        (
            "      [12/80] Building CXX object vendor/llama.cpp/src/CMakeFiles/llama.dir/llama-graph.cpp.o",
            "[12/80] Building CXX object llama-graph.cpp.o",
        ),
        (
            "[ 45%] Building CXX object dlib_build/CMakeFiles/dlib.dir/base64.cpp.o",
            "[45%] Building CXX object base64.cpp.o",
        ),
        ("[100%] Linking CXX shared module _dlib_pybind11.so", "[100%] Linking CXX shared module _dlib_pybind11.so"),
        ("[100%] Built target dlib_python", "[100%] Built target dlib_python"),
        (
            "      building 'insightface.thirdparty.face3d.mesh.cython.mesh_core_cython' extension",
            "building 'insightface.thirdparty.face3d.mesh.cython.mesh_core_cython' extension",
        ),
        (GCC, "compiling mesh_core.cpp"),
        ("x86_64-linux-gnu-gcc-12 -fno-strict -c src/a.c -o build/a.o", "compiling a.c"),
        ("/usr/local/cuda/bin/nvcc -O2 -c ext/b.cu -o b.o", "compiling b.cu"),
        ("DEBUG running build_ext", "running build_ext"),
        ("   Compiling serde_derive v1.0.145", "Compiling serde_derive v1.0.145"),
        ("      *** Configuring CMake...", "Configuring CMake"),
        ("  Building wheel for llama-cpp-python (pyproject.toml): started", "Building wheel for llama-cpp-python"),
        ("   Building insightface==0.7.3", "Building insightface==0.7.3"),
        (
            "\x1b[36m\x1b[1m   Building\x1b[0m\x1b[39m sam2 @ git+https://example.org/o/sam2",
            "Building sam2 @ git+https://example.org/o/sam2",
        ),
        ("-- The CXX compiler identification is GNU 11.4.0", "The CXX compiler identification"),
    ],
)
def test_a_line_says_how_far_the_build_is(line: str, detail: str) -> None:
    """ninja, CMake with make, setuptools, compilers, cargo, scikit-build, pip and uv."""
    assert build_detail(line) == detail


@pytest.mark.parametrize(
    "line",
    [
        "",
        "      copying insightface/data/images/t1.jpg -> build/lib.linux-x86_64-cpython-310/insightface/data/images",
        "      creating build/lib.linux-x86_64-cpython-310/flash_attn",
        "        warnings.warn(msg.format('we could not find ninja.'))",
        "Requirement already satisfied: numpy",
        "[notice] A new release of pip is available",
        "error: command '/usr/bin/gcc' failed with exit code 1",
        "In file included from mesh_core.cpp:607: note -c nothing",
    ],
)
def test_other_lines_do_not(line: str) -> None:
    """The detail before them stays."""
    assert build_detail(line) is None


@given(st.one_of(st.text(max_size=300), st.text("[]/% 0123456789-cgBuilding'=\x1b", max_size=300)))
def test_whatever_a_line_is_the_detail_is_short_and_printable(line: str) -> None:
    """Builds print anything."""
    for text in (line, "[1/2] " + line, "building '" + line + "' extension", line * 200):
        detail = build_detail(text)
        assert detail is None or (len(detail) <= MAX_CHARS and detail.isprintable())


@pytest.mark.parametrize(
    "line", ["[1/2] " + "x" * 5_000_000, "-" * 5_000_000, "a-" * 500_000 + "gcc -c", "[1/2] " + " -c" * 1_000_000]
)
def test_a_line_without_end_costs_nothing(line: str) -> None:
    """No pattern looks at a place again and again."""
    for _ in range(20):
        build_detail(line)
