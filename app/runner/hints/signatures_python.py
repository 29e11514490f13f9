"""Error signatures of building packages, of the packs' scripts and of importing packs. See `signatures`."""

from __future__ import annotations

from typing import Sequence

from app.runner.hints.signature import ADDRESS, AUTHOR, NETWORK, PERMISSION, UNLISTED, Signature

_SKEW = "The pack and the installed {package} do not match: update the pack, or ask its author which version it needs."

BUILDING: Sequence[Signature] = (
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
)
"""What stands above missing libraries and programs: optional ones may be missing, too."""

SCRIPTS_AND_IMPORTS: Sequence[Signature] = (
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
        "requirement_source_unavailable",
        "p",
        r"HTTP status client error \((?:401|403|404|410)\b",
        "A file that is named by its address is not there any more, or not for everybody.",
        "Open the address in a browser. If nothing is there, report it to the pack's author.",
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
        "psi",
        r": No module named pip\b",
        "ComfyUI's Python environment has no pip, and none could be brought for it.",
        "Install uv on the instance (curl -LsSf https://astral.sh/uv/install.sh | sh), or give the environment a pip: "
        "its python -m ensurepip.",
    ),
    # -- scripts and imports -----------------------------------------------------------------------------------------
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
        r"(?<!\S)(?P<name>\S+ is required for a normal functioning of this module, but found (?P<package>[\w-]+)==\S+)",
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
        "folder_missing",
        "s",
        r"No such file or directory: '(?P<folder>[^'\n]*?/(?:web|web_extensions|js|extensions|models)(?:/[^'\n]*)?)'",
        "install.py wants a folder that this ComfyUI does not have: {folder}.",
        "It is written for another version of ComfyUI: update the pack. What the script was to put there is missing.",
    ),
    Signature(
        "no_repository",
        "si",
        r"not a git repository|InvalidGitRepositoryError",
        "The pack runs git in a folder that is no git repository.",
        "Install the pack, and ComfyUI, by git clone; or report it to the pack's author.",
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
        r"Max retries exceeded|Name or service not known|Temporary failure in name resolution|Connection refused|"
        r"Could not resolve host|(?:Failed|Unable) to connect|Network is unreachable|Connection timed out",
        "The pack downloads something when it is imported, and the server could not be reached.",
        NETWORK,
    ),
)
