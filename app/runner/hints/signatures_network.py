"""Error signatures of machine, git, and of resolving and fetching packages. See `signatures`."""

from __future__ import annotations

from typing import Sequence

from app.runner.hints.signature import ADDRESS, AUTHOR, DISK, MEMORY, NETWORK, PROCESSES, READ_ONLY, Signature
from app.runner.hints.signatures_git import GIT_LOGINS, SCHEME_REFUSED, SSH_MISSING

_YANKED = (
    'To install that version all the same, start again with options.allow_yanked ["{pin}"] (--allow-yanked {pin}), or '
    "ask the author of what needs it for an update."
)

MACHINE_GIT_AND_FETCHING: Sequence[Signature] = (
    # -- the machine -------------------------------------------------------------------------------------------------
    Signature(
        "known_bad",
        "ps",
        r"<0\.dev0|Nodeferry does not take \S+ from there",
        "A required package is known to be malicious, and is not installed.",
        "The service's list of what is known to be malicious names it. Use another pack.",
    ),
    Signature(
        "build_refused",
        "ps",
        r"Nodeferry does not build it",
        "A required package has no ready-made wheel, and the policy for builds does not let it be built here.",
        "Start again with another policy for builds, or install a wheel of it yourself.",
    ),
    Signature(
        "direct_url_refused",
        "ps",
        r"Nodeferry does not take \S+ from its address",
        "A required package would come from an address that no requirements of packs name, past the package index.",
        "Start again with another policy for direct addresses (direct_urls), or install it yourself.",
    ),
    Signature(
        "tmp_full",
        "psi",
        r"No space left on device: '/tmp/|No usable temporary (?:file|directory)",
        "The instance's /tmp folder is full.",
        "Free some space in /tmp, or set TMPDIR to a folder on a larger disk, then start again.",
    ),
    Signature(
        "disk_quota", "gpsi", r"Disk quota exceeded|os error 122", "The disk quota on the instance is used up.", DISK
    ),
    Signature("disk_full", "gpsi", r"No space left on device|os error 28\b", "The instance's disk is full.", DISK),
    Signature(
        "read_only",
        "gpsi",
        r"Read-only file system|os error 30\b",
        "The folder is on a disk that can only be read.",
        READ_ONLY,
    ),
    Signature(  # git has made the file and could not fill it; here it does not say why
        "disk_full",
        "g",
        r"error: (?:unable to write file |failed to write new configuration file )|unable to write new index file",
        "The instance's disk is full, or cannot be written.",
        DISK,
    ),
    SSH_MISSING,
    SCHEME_REFUSED,
    Signature(
        "too_many_processes",
        "gpsi",
        r"fork: (?:retry: )?Resource temporarily unavailable|unable to create (?:async )?thread|"
        r"can't start new thread|BlockingIOError: \[Errno 11\]|pthread_create failed|Os \{ code: 11,|unable "
        r"to fork|cannot fork",
        "The instance allows no more processes or threads.",
        PROCESSES,
    ),
    Signature(
        "out_of_memory",
        "gpsi",
        r"signal: 9|died of signal 9|died with <Signals\.SIGKILL: 9>|Out of memory|Cannot allocate memory|"
        r"\bMemoryError\b|fatal error: Killed signal|cc1plus: out of memory",
        "The instance ran out of memory, and a program was killed.",
        MEMORY,
    ),
    # -- git ---------------------------------------------------------------------------------------------------------
    Signature(  # before the others: git says of a submodule what it says of a repository
        "submodule_failed",
        "g",
        r"(?s)\A(?=.*(?:not found|could not read (?:Username|Password)|terminal prompts disabled|Authentication failed|"
        r"Permission denied|returned error: 40[134]|not our ref|reference is not a tree|unadvertised object|"
        r"does not appear to be a git repository))"
        r".*?(?:Failed to clone '|(?:in|into) submodule path ')(?P<path>[^'\n]*)'",
        "{path}, a submodule of the repository (a repository inside it), could not be fetched.",
        "The pack's log has its address, which may have been moved or deleted. Report it to the pack's author.",
    ),
    Signature(
        "rate_limited",
        "gpsi",
        r"returned error: 429|(?i:rate limit)|429 Too Many Requests|429 Client Error|Too Many Requests",
        "The server refuses more requests for now (rate limit).",
        "Wait a few minutes, then start again.",
    ),
    *GIT_LOGINS,
    Signature(
        "repository_not_found",
        "g",
        r"repository '.*' not found|Repository not found|returned error: 404|does not appear to be a git repository",
        "The repository does not exist.",
        ADDRESS,
    ),
    Signature(
        "bad_ref",
        "g",
        r"Remote branch .* not found|couldn't find remote ref|not our ref|reference is not a tree|unadvertised object",
        "The repository has no such branch, tag or commit.",
        "Correct the ref (branch, tag or commit) in the list of packs.",
    ),
    Signature(
        "local_changes",
        "g",
        r"would be overwritten by checkout",
        "An untracked file on the instance is in the way of the new version. Nothing was changed.",
        "Move that file out of the pack's folder, then start again.",
    ),
    Signature(
        "git_locked",
        "g",
        r"Unable to create '(?P<lock>[^'\n]{1,300}\.lock)': File exists",
        "Another git works in the pack's folder, or was killed there.",
        "Wait until it has ended, then start again. If none runs there, remove its lock first (rm '{lock}').",
    ),
    Signature(
        "proxy_login",
        "gps",
        r"response 407|Proxy Authentication Required|unsuccessful tunnel|Tunnel connection failed: 407",
        "The instance's network uses a proxy that asks for a login.",
        "Set https_proxy on the instance to the proxy's address with user and password, then start again.",
    ),
    Signature(
        "certificate_not_trusted",
        "gpsi",
        r"certificate verification failed|server certificate verification|SSL certificate problem|"
        r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate",
        "The instance does not trust the server's certificate.",
        "Check the instance's clock and its ca-certificates package. Behind a proxy, add the proxy's certificate.",
    ),
    Signature(
        "dubious_ownership",
        "gpsi",
        r"dubious ownership in repository|unsafe repository \('",
        "git refuses to work in a folder that belongs to another user.",
        "Run on the instance: git config --global --add safe.directory '*' (or change the owner of the folder).",
    ),
    Signature(
        "git_lfs",
        "gs",
        r"git-lfs: (?:command )?not found|git: 'lfs' is not a git command|smudge filter lfs failed|"
        r"external filter '?git-lfs",
        "The repository keeps large files in Git LFS, which does not work on the instance.",
        "Install it there (apt-get install -y git-lfs; git lfs install), then run git lfs pull in the pack's folder.",
    ),
    Signature(
        "host_not_reached",
        "gs",
        r"Could not resolve (?:host|proxy|hostname)|Name or service not known|Temporary failure in name resolution|"
        r"NameResolutionError",
        "The instance could not look up the server's name (DNS).",
        "Check the address for typing errors, then the instance's DNS settings (/etc/resolv.conf).",
    ),
    Signature(
        "host_not_reached",
        "gs",
        r"(?:Failed|Couldn't|Unable) to connect|Connection refused|Network is unreachable|No route to host|"
        r"Connection timed out",
        "The instance could not reach the server.",
        NETWORK,
    ),
    Signature("stalled", "g", r"Operation too slow|Operation timed out", "The download stopped moving.", NETWORK),
    Signature(
        "transfer_cut",
        "g",
        r"early EOF|RPC failed|unexpected disconnect|fetch-pack: invalid|index-pack failed|Recv failure|"
        r"returned error: 5\d\d|hung up unexpectedly|transfer closed",
        "The download broke off.",
        NETWORK,
    ),
    Signature(
        "submodule_failed",
        "g",
        r"(?:(?:into|in) submodule path|Failed to clone) '(?P<path>[^'\n]*)'",
        "{path}, a submodule of the repository (a repository inside it), could not be fetched.",
        "The pack's log has its address, which may have been moved or deleted. Report it to the pack's author.",
    ),
    # -- packages: resolving and fetching ----------------------------------------------------------------------------
    Signature(
        "externally_managed",
        "ps",
        r"externally[- ]managed",
        "This Python belongs to the operating system, which allows no packages to be added to it (PEP 668).",
        "Create a virtual environment for ComfyUI on the instance, and give its folder as venv_path.",
    ),
    Signature(
        "hash_mismatch",
        "ps",
        r"Hash mismatch for|DO NOT MATCH THE HASHES",
        "A downloaded package is not the file that the pack's requirements name by hash.",
        AUTHOR,
    ),
    Signature(
        "python_version",
        "ps",
        r"requires a different Python: (?P<found>\S+) not in '(?P<wanted>[^']+)'",
        "A required package needs Python {wanted}; the instance has {found}.",
        "Use an image with a matching Python, or a version of the pack for this Python.",
    ),
    Signature(
        "python_version",
        "ps",
        r"the (?:current|requested) Python version "
        r"\((?P<found>[^)]+)\)\s+does\s+not\s+satisfy\s+Python(?P<wanted>[\d.,<>=!~*]+)",
        "A required package needs Python {wanted}; the instance has {found}.",
        "Use an image with a matching Python, or a version of the pack for this Python.",
    ),
    Signature(
        "torch_version",
        "p",
        # Where something else is at odds, uv says that others depend on the very version that is kept: not this then.
        r"(?s)No solution found(?!.*Because\s+(?P<kept>torch\S*==\S+)\s+depends\s+on.*depends\s+on\s+(?P=kept)[\s,])"
        r".*?depends?\s+on\s+(?P<package>torch(?:vision|audio)?)(?P<wanted>[<>=!~]=?[^\s,]+)",
        "It needs {package}{wanted}. The installed torch does not match, and Nodeferry never replaces it.",
        "Look for a version of the pack for the installed torch, or use an image with another torch.",
    ),
    Signature(
        "package_yanked",
        "p",
        r"(?<![\w.-])(?P<pin>[A-Za-z0-9][\w.-]*==[\w.!+-]+)\s+was\s+yanked\s+\(reason:\s+(?P<why>[^()\n]{1,120})",
        "{pin} is needed, which its author has withdrawn (yanked: {why}).",
        _YANKED,
    ),
    Signature(
        "package_yanked",
        "p",
        r"(?<![\w.-])(?P<pin>[A-Za-z0-9][\w.-]*==[\w.!+-]+)\s+was\s+yanked",
        "{pin} is needed, which its author has withdrawn (yanked).",
        _YANKED,
    ),
    Signature(
        "requirement_not_found",
        "ps",
        r"not found in the package registry|No matching distribution found|there\s+(?:are\s+no\s+versions|"
        r"is\s+no\s+version)\s+of|Because\s+only\s+\S+\s+is\s+available\s+and\s+you\s+require",
        "A required package, or the version that the pack asks for, does not exist.",
        "Report it to the pack's author: the pack's requirements have to change.",
    ),
    Signature(
        "no_wheel",
        "ps",
        r"has\s+no\s+wheels\s+with\s+a\s+matching|no\s+wheels\s+are\s+available\s+for|has\s+no\s+source\s+distribution|"
        r"is not a supported wheel on this platform",
        "A required package has no ready-made build for this Python or this system.",
        "Try an image with another Python version, or report it to the pack's author.",
    ),
    Signature(
        "package_unreadable",
        "ps",
        r"has an invalid package format|[Ii]nvalid zip file|BadZipFile|[Mm]etadata.{0,20} could not be parsed",
        "The package index lists a required package, but its file cannot be read.",
        "Start again later. If it happens again, report it to the package's author.",
    ),
    Signature(
        "requirement_conflict",
        "ps",
        r"No solution found|ResolutionImpossible|conflicting dependencies|contain conflicting (?:URLs|indexes)",
        "The pack's requirements contradict what is installed, or what other packs require.",
        "Look at the pack's log: it names both sides.",
    ),
)
