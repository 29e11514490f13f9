"""Over which protocols git may go on the instance: the schemes that the service allows (`allowed_git_schemes`), for
every git that a run starts, and for each address that such a git meets: submodules, redirects, `url.….insteadOf`.

uv and pip start git themselves, so they get it as configuration in a variable: `GIT_CONFIG_PARAMETERS`, which is how
`git -c` hands it on to other gits, and which counts more than every file. git before 2.31 has no other variable for it.
Both copy repositories on the disk, by their path, which is the scheme `file`: `user` allows that to whoever names the
path, and refuses it to submodules. Our own git gets `GIT_ALLOW_PROTOCOL`, against which no configuration counts.
Source: git(1), git-config(1).
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping, Sequence, Tuple

USUAL_SCHEMES = ("https", "ssh")
"""Where a request names none."""
VARIABLE = "GIT_CONFIG_PARAMETERS"
ONLY = "GIT_ALLOW_PROTOCOL"
NAMES = (VARIABLE, ONLY)
_KNOWN = ("ext", "fd", "file", "ftp", "ftps", "git", "http", "https", "ssh")


def schemes_of(request: Mapping[str, Any]) -> Sequence[str]:
    """The schemes that the service has sent with a run's request."""
    return [str(scheme).lower() for scheme in request.get("schemes") or USUAL_SCHEMES]


def environ_for_all(schemes: Sequence[str]) -> Dict[str, str]:
    """The variables for programs that start git."""
    return {VARIABLE: as_parameters(rules(schemes))}


def rules(schemes: Sequence[str]) -> Sequence[Tuple[str, str]]:
    """The schemes, as git's configuration. Each is named: a repository's own file could name it too."""
    others = {scheme: "user" if scheme == "file" else "never" for scheme in _KNOWN}
    allowed = {**others, **dict.fromkeys(schemes, "always")}
    return [("protocol.allow", "never"), *(("protocol.%s.allow" % name, how) for name, how in sorted(allowed.items()))]


def only(schemes: Sequence[str]) -> str:
    """The value of `ONLY`."""
    return ":".join(schemes)


def as_parameters(settings: Iterable[Tuple[str, str]]) -> str:
    """The value of `VARIABLE`, in the form that each git reads; a key with `=` cannot be written so."""
    return " ".join("'%s'" % ("%s=%s" % pair).replace("'", "'\\''").replace("!", "'\\!'") for pair in settings)
