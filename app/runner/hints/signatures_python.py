"""Error signatures of building packages, of the packs' scripts and of importing packs. See `signatures`."""

from __future__ import annotations

from typing import Sequence

from app.runner.hints.signature import ADDRESS, AUTHOR, NETWORK, PERMISSION, UNLISTED, Signature

_SKEW = "The pack and the installed {package} do not match: update the pack, or ask its author which version it needs."

BUILDING_SCRIPTS_AND_IMPORTS: Sequence[Signature] = (
    # -- packages: replacing what is installed ------------------------------------------------------------------------
    Signature(
        "package_not_replaceable",
        "ps",
        r"(?:Cannot|Unable to) uninstall ['`]?(?P<package>[A-Za-z0-9][A-Za-z0-9._-]*?)(?:['`=,]|\s)"
        r"(?=[^\n]*(?:\n[^\n]*)?(?:distutils|no RECORD file|RECORD file not found))",
        "The installed {package} cannot be replaced, because nothing lists its files.",
        UNLISTED,
    ),
    Signature(
        "installed_version_unreadable",
        "ps",
        r"(?:pip\._vendor\.packaging\.version\.InvalidVersion|has an invalid version):\s*(?:│\s*)?"
        r"Invalid version: '(?P<version>[^'\n]*)'",
        "pip stops at a package that is installed, since it does not take that package's version ({version}).",
        "Install uv on the instance (pip install uv), or remove or reinstall that package, then retry.",
    ),
    # -- packages: building ------------------------------------------------------------------------------------------
    Signature(
        "cuda_toolkit_missing",
        "psi",
        r"CUDA_HOME (?:environment variable )?is not set|nvcc(?:' )?(?: was)? not found|nvcc: (?:command )?not found|"
        r"No such file or directory: '(?:[^']*/)?nvcc'|No CUDA toolset found|Could NOT find CUDA",
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
        "Install Rust on the instance, or use an image with another Python version.",
    ),
    Signature(
        "cmake_missing",
        "ps",
        r"No such file or directory: '(?:[^']*/)?cmake'|CMake must be installed|cmake: (?:command )?not found|"
        r"Could not find CMake|CMake is not installed",
        "A required package must be compiled with CMake, which is not installed.",
        "Install it on the instance: apt-get install -y cmake build-essential",
    ),
    Signature(
        "compiler_missing",
        "ps",
        r"No such file or directory: '(?:[^']*/)?(?:\S*gcc|\S*g\+\+|cc|c\+\+|clang|cl\.exe|ninja|make)'|"
        r"command '\S*(?:gcc|g\+\+|cc)' failed: No such file|Microsoft Visual C\+\+ .* is required|"
        r"No CMAKE_CXX?_COMPILER could be found|Ninja is required to load C\+\+ extensions|"
        r"(?:gcc|g\+\+|cc|make|ninja): (?:command )?not found",
        "A required package has no ready-made build for this Python and must be compiled, but there is no C compiler.",
        "Install it on the instance: apt-get install -y build-essential ninja-build",
    ),
    Signature(
        "python_headers_missing",
        "ps",
        r"fatal error: Python\.h: No such file",
        "A package must be compiled, and this Python's header files are not installed.",
        "Install them on the instance: apt-get install -y python3-dev",
    ),
    Signature(
        "system_header_missing",
        "ps",
        r"fatal error: (?P<header>\S+): No such file or directory",
        "A package must be compiled with the header file {header}, which is not installed.",
        "Install the -dev package that contains it; apt-file search {header} names it.",
    ),
    Signature(
        "build_needs_torch",
        "p",
        r"(?s)(?:build_wheel|build-wheel|requires_for_build|Getting requirements to build|metadata|egg_info).*"
        r"No module named '(?P<package>torch|numpy|Cython|wheel|packaging|psutil)'",
        "A required package needs {package} while it is built, and does not say so.",
        "Install it yourself on the instance with uv pip install --no-build-isolation, or report it to its author.",
    ),
    Signature(
        "numpy_2",
        "psi",
        r"_ARRAY_API not found|compiled using NumPy 1\.x|numpy\.core\.(?:_?multiarray\w*) failed to import|"
        r"numpy\.dtype size changed|was removed in the NumPy 2\.0 release|module 'numpy' has no attribute "
        r"'(?:float|int|bool|object)'",
        "It was built for another NumPy than the installed one (versions 1 and 2 do not mix).",
        "Update the package that is named here, or install numpy<2 if no other pack needs NumPy 2.",
    ),
    Signature(
        "build_failed",
        "ps",
        r"Failed to build|build backend returned an error|error: subprocess-exited-with-error|"
        r"metadata-generation-failed|Building wheel for .* error|Failed building wheel for",
        "A required package has no ready-made build for this Python and could not be compiled.",
        "Look at the pack's log: a compiler or a system library may be missing.",
    ),
    Signature(
        "requirement_source_unavailable",
        "p",
        r"Git operation failed|failed to (?:clone|fetch) into",
        "A repository that the pack's requirements name could not be fetched.",
        ADDRESS,
    ),
    Signature(
        "registry_timed_out",
        "ps",
        r"operation timed out|Read timed out|ReadTimeoutError|TimeoutError: The read operation|ConnectTimeout",
        "The server did not answer in time.",
        NETWORK,
    ),
    Signature(
        "registry_not_reached",
        "ps",
        r"Failed to fetch|error sending request|dns error|Connection reset|tcp connect error|timed out|"
        r"Failed to establish a new connection",
        "The instance could not reach the package index.",
        NETWORK,
    ),
    Signature(
        "bad_requirement",
        "p",
        r"Couldn't parse requirement|Failed to parse|Expected (?:package name|one of)|Invalid requirement|Unexpected '|"
        r"wheel filename .* invalid",
        "The pack's requirements file has a line that cannot be understood.",
        AUTHOR,
    ),
    Signature(
        "no_installer",
        "ps",
        r": No module named pip\b",
        "Neither uv nor pip is available for this Python.",
        "Install uv on the instance: pip install uv (or with uv's own installer).",
    ),
    # -- scripts and imports -----------------------------------------------------------------------------------------
    Signature(
        "system_library_missing",
        "si",
        r"(?P<library>lib(?:GL|EGL|OpenGL|gthread|glib|SM|Xext|Xrender|X11)[\w.-]*\.so[\w.]*): cannot open "
        r"shared object file",
        "The system library {library} is not installed.",
        "Install it on the instance: apt-get install -y libgl1 libglib2.0-0 (no display is needed).",
    ),
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
        "Install the system package that contains it; apt-file search {library} names it.",
    ),
    Signature(
        "system_library_too_old",
        "psi",
        r"version `(?P<version>(?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not found",
        "A package was built for a newer Linux: it needs {version}.",
        "Use an image with a newer Linux, or an older version of that package.",
    ),
    Signature(
        "abi_mismatch",
        "si",
        r"undefined symbol: \S*",
        "A compiled package does not match the installed torch (undefined symbol).",
        "Install a build of that package for the installed torch, or remove it.",
    ),
    Signature(
        "cuda_driver_too_old",
        "si",
        r"NVIDIA driver on your system is too old|CUDA driver version is insufficient|forward compatibility "
        r"was attempted",
        "The instance's NVIDIA driver is too old for the installed torch.",
        "Rent an instance with a newer driver, or use an image with an older CUDA.",
    ),
    Signature(
        "no_gpu",
        "si",
        r"No CUDA GPUs are available|Found no NVIDIA driver|no CUDA-capable device is detected|"
        r"Torch not compiled with CUDA enabled",
        "It needs an NVIDIA GPU and a torch with CUDA, and did not find them.",
        "Run nvidia-smi on the instance. If it shows a GPU, use an image whose torch has CUDA; if not, rent another.",
    ),
    Signature(
        "cuda_out_of_memory",
        "si",
        r"CUDA out of memory|OutOfMemoryError",
        "The GPU's memory is full.",
        "Stop other programs that use the GPU, then start again.",
    ),
    Signature(
        "version_skew",
        "si",
        r"cannot import name '(?P<name>[^']+)' from (?:partially initialized module )?'(?P<package>[\w]+)[\w.]*'",
        "{package} has no {name}: the pack was written for another version of it.",
        _SKEW,
    ),
    Signature(
        "version_skew",
        "si",
        r"No module named '(?P<package>transformers|diffusers|huggingface_hub|torchvision|timm|accelerate|"
        r"peft|mmcv)(?P<name>\.[\w.]+)'",
        "{package} has no module {name}: the pack was written for another version of it.",
        _SKEW,
    ),
    Signature(
        "version_skew",
        "si",
        r"(?P<name>\S+ is required for a normal functioning of this module, but found (?P<package>[\w-]+)==\S+)",
        "{name}",
        _SKEW,
    ),
    Signature(
        "comfyui_too_old",
        "i",
        r"No module named '(?P<name>comfy(?:_api|_extras|_execution)?(?:\.[\w.]+)?|folder_paths|server)'|"
        r"module 'comfy[\w.]*' has no attribute '(?P<attribute>\w+)'",
        "The pack needs a part of ComfyUI that this version does not have ({name}{attribute}).",
        "Update ComfyUI, or use an older version of the pack.",
    ),
    Signature(
        "module_missing",
        "si",
        r"No module named '?(?P<name>[A-Za-z_][\w.]*)'?",
        "The Python module {name} is not installed, and the pack's requirements do not install it.",
        "Install the package that contains it, or report it to the pack's author.",
    ),
    Signature(
        "script_asked",
        "s",
        r"EOFError: EOF when reading a line",
        "install.py asked a question, which nobody can answer here.",
        "Run it yourself in the pack's folder on the instance.",
    ),
    Signature(
        "syntax_error",
        "si",
        r"(?:SyntaxError|IndentationError|TabError): .*",
        "This Python version cannot read the pack's code.",
        "It may be written for another Python version. Update the pack; its log names the line.",
    ),
    Signature(
        "not_permitted",
        "gps",
        r"Permission denied|Operation not permitted|os error 13\b|are you root\?",
        "The user of the SSH login may not do that.",
        PERMISSION,
    ),
    Signature(
        "not_permitted",
        "i",
        r"Permission denied|Operation not permitted",
        "When it is imported, the pack uses a file that the user who runs ComfyUI may not use.",
        "Look on the instance at whose the file is (ls -l), and give it to that user (chown).",
    ),
    Signature(
        "host_not_reached",
        "i",
        r"Max retries exceeded|Name or service not known|Temporary failure in name resolution|Connection refused",
        "The pack downloads something when it is imported, and the server could not be reached.",
        NETWORK,
    ),
)
