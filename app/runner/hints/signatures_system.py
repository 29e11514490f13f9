"""Error signatures of system libraries and programs that are missing. See `signatures`; `system_packages` knows which
package has each."""

from __future__ import annotations

import re
from typing import Sequence

from app.runner.hints.signature import Signature
from app.runner.hints.system_packages import PROGRAMS

_INSTALL = "Install on the instance: {install}."

COMPILING: Sequence[Signature] = (
    Signature(
        "cuda_toolkit_missing",
        "psi",
        r"CUDA_HOME (?:environment variable )?is not set|nvcc(?:' )?(?: was)? not found|nvcc: (?:command )?not found|"
        r"No such file or directory: '(?:[^']*/)?nvcc'|No CUDA toolset found|Could NOT find CUDA|"
        r"(?i:CUDA toolkit (?:is |was )?not (?:found|installed))",
        "A package must be compiled with the CUDA toolkit (nvcc), which the instance does not have.",
        "Use an image with the toolkit (names often end in -devel), or a ready-made build of that package.",
    ),
    Signature(
        "cuda_version",
        "psi",
        r"detected CUDA version \((?P<found>[\d.]+)\) mismatches the version that was used to "
        r"compile\s+PyTorch \((?P<wanted>[\d.]+)\)",
        "The instance's CUDA toolkit is version {found}, but its torch was built with {wanted}.",
        "Use an image in which both versions match, or a ready-made build of that package.",
    ),
    Signature(
        "rust_missing",
        "ps",
        r"Rust compiler|Cargo, the Rust package manager, is not installed|No such file or directory: '(?:cargo|rustc)'|"
        r"can't find Rust compiler|maturin failed",
        "A required package has no ready-made build for this Python and must be compiled with Rust, which is missing.",
        "Install Rust on the instance: {install}. Or use an image with another Python version.",
    ),
    Signature(
        "cmake_missing",
        "ps",
        r"No such file or directory: '(?:[^']*/)?cmake'|CMake must be installed|cmake: (?:command )?not found|"
        r"Could not find CMake|CMake is not installed",
        "A required package must be compiled with CMake, which is not installed.",
        _INSTALL,
    ),
    Signature(
        "compiler_missing",
        "ps",
        r"No such file or directory: '(?:[^']*/)?(?:\S*gcc|\S*g\+\+|cc|c\+\+|clang|cl\.exe|ninja|make)'|"
        r"command '\S*(?:gcc|g\+\+|cc)' failed: No such file|Microsoft Visual C\+\+ .* is required|"
        r"No CMAKE_CXX?_COMPILER could be found|Ninja is required to load C\+\+ extensions|"
        r"(?:gcc|g\+\+|cc|make|ninja): (?:command )?not found",
        "A required package has no ready-made build for this Python and must be compiled, but there is no C compiler.",
        _INSTALL,
    ),
    Signature(
        "python_headers_missing",
        "ps",
        r"fatal error: Python\.h: No such file",
        "A package must be compiled, and this Python's header files are not installed.",
        _INSTALL,
    ),
    Signature(
        "system_header_missing",
        "ps",
        r"fatal error: '?(?P<header>[^\s':]+)'?:? (?:No such file or directory|file not found)",
        "A package must be compiled with the header file {header}, which is not installed.",
        _INSTALL,
    ),
)

LIBRARIES_AND_PROGRAMS: Sequence[Signature] = (
    Signature(
        "cuda_library_missing",
        "si",
        r"(?P<library>lib(?:cu|nv|nccl)[\w.-]*\.so[\w.]*): cannot open shared object file",
        "The CUDA library {library} is missing: a package was built for another CUDA version than the installed torch.",
        "Install a build of that package for the installed torch and CUDA.",
    ),
    Signature(
        "system_library_missing",
        "si",
        r"(?P<library>lib[\w.+-]*\.so[\w.]*): cannot open shared object file",
        "The system library {library} is not installed.",
        _INSTALL,
    ),
    Signature(
        "system_library_missing",
        "psi",
        r"Dependency \"(?P<library>[\w.+-]+)\" not found|Package '?(?P<package>[\w.+-]+?)'?,? "
        r"(?:required by '[^']*', |was )?not found|pkg-config could not find libraries \[(?P<several>[^\]]+)\]|"
        r"pkg-config --exists (?P<module>[\w.+-]+)' returned|cannot find -l(?P<linked>[\w.+-]+)|"
        r"no library called \"(?P<called>[^\"]+)\"|(?P<words>PortAudio|sndfile|MagickWand shared) library not found|"
        r"Unable to find (?P<shared>zbar) shared library|failed to find (?P<magic>libmagic)|"
        r"cannot load library '(?P<file>lib[\w.+-]+)'",
        "The system library {library}{package}{several}{module}{linked}{called}{words}{shared}{magic}{file} is not "
        "installed.",
        _INSTALL,
    ),
    Signature(
        "program_missing",
        "psi",
        r"No such file or directory: b?'(?:[^']*/)?(?P<program>%(programs)s)'|(?:^|[\s:])(?P<shell>%(programs)s): "
        r"(?:command )?not found|(?P<words>SoX|[Ff]fmpeg|[Ee]xif[Tt]ool|tesseract|espeak)(?: is)? "
        r"(?:could not be found|not found|not installed)|Program '?(?P<meson>[\w.+-]+?)'? not found"
        % {"programs": "|".join(sorted(map(re.escape, PROGRAMS)))},
        "The program {program}{shell}{words}{meson} is not installed.",
        _INSTALL,
    ),
)
