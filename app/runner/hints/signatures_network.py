"""Error signatures of machine, git, and of resolving and fetching packages. See `signatures`."""

from __future__ import annotations

from typing import Sequence

from app.runner.hints.signature import ADDRESS, AUTHOR, DISK, NETWORK, Signature

MACHINE_GIT_AND_FETCHING: Sequence[Signature] = (
    # -- the machine -------------------------------------------------------------------------------------------------
    Signature(
        "tmp_full",
        "psi",
        r"No space left on device: '/tmp/|No usable temporary (?:file|directory)",
        "There is no room in the instance's /tmp.",
        "Free some space in /tmp, or set TMPDIR to a larger disk, then start again.",
    ),
    Signature(
        "disk_quota", "gpsi", r"Disk quota exceeded|os error 122", "The disk quota on the instance is used up.", DISK
    ),
    Signature("disk_full", "gpsi", r"No space left on device|os error 28\b", "The instance's disk is full.", DISK),
    Signature(
        "read_only",
        "gpsi",
        r"Read-only file system|os error 30\b",
        "The folder cannot be written: it is on a read-only file system.",
        DISK,
    ),
    Signature(  # git has made the file and could not fill it; here it does not say why
        "disk_full",
        "g",
        r"error: (?:unable to write file |failed to write new configuration file )|unable to write new index file",
        "The instance's disk takes no more.",
        DISK,
    ),
    Signature(
        "too_many_processes",
        "gpsi",
        r"fork: (?:retry: )?Resource temporarily unavailable|unable to create (?:async )?thread|"
        r"can't start new thread|BlockingIOError: \[Errno 11\]|pthread_create failed|Os \{ code: 11,|unable "
        r"to fork|cannot fork",
        "The instance lets no more processes or threads start.",
        "End some of its processes (or raise the container's pids limit), then start again.",
    ),
    Signature(
        "out_of_memory",
        "gpsi",
        r"signal: 9|died of signal 9|died with <Signals\.SIGKILL: 9>|Out of memory|Cannot allocate memory|"
        r"\bMemoryError\b|fatal error: Killed signal|cc1plus: out of memory",
        "The instance ran out of memory (something was killed).",
        "Stop what else runs there, or take an instance with more memory, then start again.",
    ),
    # -- git ---------------------------------------------------------------------------------------------------------
    Signature(
        "needs_login",
        "g",
        r"Permission denied \(publickey|returned error: 403|Host key verification failed",
        "The git server wants a login that the instance does not have.",
        "Set up git's credentials or a key on the instance, or use an address that everybody may read.",
    ),
    Signature(
        "repository_not_found_or_private",
        "g",
        r"could not read (?:Username|Password)|terminal prompts disabled|Authentication failed|returned error: 401",
        "The repository does not exist or needs a login.",
        "If it is private, set up git's credentials on the instance; if not, check its address.",
    ),
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
        "Check the ref in the manifest.",
    ),
    Signature(
        "local_changes",
        "g",
        r"would be overwritten by checkout",
        "An untracked file on the instance is in the way of the new version; nothing was touched.",
        "Move the file away, then start again.",
    ),
    Signature(
        "rate_limited",
        "gpsi",
        r"returned error: 429|(?i:rate limit)|429 Too Many Requests|429 Client Error|Too Many Requests",
        "The server limits the rate.",
        "Wait a few minutes, then start again.",
    ),
    Signature(
        "proxy_login",
        "gps",
        r"response 407|Proxy Authentication Required|unsuccessful tunnel|Tunnel connection failed: 407",
        "The proxy of the instance's network wants a login.",
        "Set the proxy's address with its login (https_proxy) on the instance, then start again.",
    ),
    Signature(
        "certificate_not_trusted",
        "gpsi",
        r"certificate verification failed|server certificate verification|SSL certificate problem|"
        r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate",
        "The server's certificate is not trusted on the instance.",
        "Check the instance's clock and its ca-certificates; behind a company's proxy, add its certificate.",
    ),
    Signature(
        "dubious_ownership",
        "gp",
        r"dubious ownership in repository",
        "git will not work in a folder that belongs to somebody else.",
        "Run git config --global --add safe.directory '*' on the instance, or give the folder to the login's user.",
    ),
    Signature(
        "git_lfs",
        "gs",
        r"git-lfs: (?:command )?not found|git: 'lfs' is not a git command|smudge filter lfs failed|"
        r"external filter '?git-lfs",
        "The repository keeps files in Git LFS, which did not work on the instance.",
        "Install it there (apt-get install -y git-lfs; git lfs install), then run git lfs pull in the pack's folder.",
    ),
    Signature(
        "host_not_reached",
        "gs",
        r"Could not resolve (?:host|proxy|hostname)|Name or service not known|Temporary failure in name resolution|"
        r"NameResolutionError",
        "The server's name could not be resolved on the instance.",
        "Check the instance's DNS (/etc/resolv.conf) and the address.",
    ),
    Signature(
        "host_not_reached",
        "gs",
        r"(?:Failed|Couldn't|Unable) to connect|Connection refused|Network is unreachable|No route to host|"
        r"Connection timed out",
        "The server could not be reached from the instance.",
        NETWORK,
    ),
    Signature("stalled", "g", r"Operation too slow|Operation timed out", "The download stalled.", NETWORK),
    Signature(
        "transfer_cut",
        "g",
        r"early EOF|RPC failed|unexpected disconnect|fetch-pack: invalid|index-pack failed|Recv failure|"
        r"returned error: 5\d\d|hung up unexpectedly|transfer closed",
        "The download was cut off.",
        NETWORK,
    ),
    Signature(
        "submodule_failed",
        "g",
        r"(?:clone of '.*' into submodule path|Unable to checkout .* in submodule path|Failed to clone ').*",
        "A submodule of the repository could not be fetched.",
        ADDRESS,
    ),
    # -- packages: resolving and fetching ----------------------------------------------------------------------------
    Signature(
        "externally_managed",
        "ps",
        r"externally[- ]managed",
        "This Python belongs to the system (PEP 668); nothing is installed into it.",
        "Make a virtual environment for ComfyUI and name it as venv_path.",
    ),
    Signature(
        "hash_mismatch",
        "ps",
        r"Hash mismatch for|DO NOT MATCH THE HASHES",
        "A package is not the one that the requirements file pins by its hash.",
        AUTHOR,
    ),
    Signature(
        "python_version",
        "ps",
        r"requires a different Python: (?P<found>\S+) not in '(?P<wanted>[^']+)'",
        "A required package wants Python {wanted}; the instance has {found}.",
        "Take an image with a Python that fits, or a version of the pack for this one.",
    ),
    Signature(
        "python_version",
        "ps",
        r"the (?:current|requested) Python version "
        r"\((?P<found>[^)]+)\)\s+does\s+not\s+satisfy\s+Python(?P<wanted>[\d.,<>=!~*]+)",
        "A required package wants Python {wanted}; the instance has {found}.",
        "Take an image with a Python that fits, or a version of the pack for this one.",
    ),
    Signature(
        "torch_version",
        "p",
        r"(?s)No solution found.*?depends?\s+on\s+(?P<package>torch(?:vision|audio)?)(?P<wanted>[<>=!~]=?[^\s,]+)",
        "It wants {package}{wanted}, and the torch that is installed is kept.",
        "Look for a version of the pack (or of that package) for the installed torch.",
    ),
    Signature(
        "requirement_not_found",
        "ps",
        r"not found in the package registry|No matching distribution found|there\s+(?:are\s+no\s+versions|"
        r"is\s+no\s+version)\s+of|Because\s+only\s+\S+\s+is\s+available\s+and\s+you\s+require",
        "A required package, or the version asked for, does not exist.",
        "Tell the pack's author; the pack needs another requirement.",
    ),
    Signature(
        "no_wheel",
        "ps",
        r"has\s+no\s+wheels\s+with\s+a\s+matching|no\s+wheels\s+are\s+available\s+for|has\s+no\s+source\s+distribution|"
        r"is not a supported wheel on this platform",
        "A required package has no build for this Python or this system.",
        "Tell the pack's author; another Python version may have one.",
    ),
    Signature(
        "package_unreadable",
        "ps",
        r"has an invalid package format|[Ii]nvalid zip file|BadZipFile|[Mm]etadata.{0,20} could not be parsed",
        "A required package is listed in the registry, but its file cannot be read.",
        "Start again later; if it stays so, tell the package's author.",
    ),
    Signature(
        "requirement_conflict",
        "ps",
        r"No solution found|ResolutionImpossible|conflicting dependencies",
        "What the pack requires does not go with what is installed.",
        "Look at the pack's log for the two parties.",
    ),
)
