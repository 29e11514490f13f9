"""Error signatures of git servers that let nobody in: keys, logins, blocks. See `signatures`."""

from __future__ import annotations

from typing import Sequence

from app.runner.hints.signature import Signature

_BY_HTTPS = "Use the repository's https address (https://HOST/OWNER/NAME): a public one needs no key there. "

SSH_MISSING = Signature(
    "program_missing",
    "g",
    r"cannot run \S*ssh: No such file|ssh: (?:command )?not found",
    "The address is for ssh, and the instance has no ssh program.",
    _BY_HTTPS + "Else, on the instance: apt-get install -y openssh-client.",
)
"""Before others: git then says "unable to fork" too."""

SCHEME_REFUSED = Signature(
    "git_scheme_refused",
    "gp",
    r"transport '(?P<scheme>[^'\n]{1,40})' not allowed|Protocol \"?(?P<led_to>\w{1,10})\"? (?:not supported or )?"
    r"disabled",
    "git may not use an address of this scheme ({scheme}{led_to}): NODEFERRY_ALLOWED_GIT_SCHEMES has it not.",
    "That setting of the service names the schemes that it allows (https,ssh if it is not set). Add one only if you "
    "trust that way; else ask the pack's author for an https address.",
)
"""Of a pack, of a submodule, or of where a server or a configuration led git. Before others: git says more then."""

GIT_LOGINS: Sequence[Signature] = (
    Signature(
        "git_host_key_unknown",
        "g",
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Offending \S+ key in",
        "The git server's SSH host key is not the one that the instance has noted for it.",
        _BY_HTTPS
        + "Else compare the key with the one that its owner publishes; ssh-keygen -R HOST forgets the old one.",
    ),
    Signature(
        "git_host_key_unknown",
        "g",
        r"Host key verification failed|No \S+ host key is known for",
        "The instance has no SSH host key for the git server, so it does not connect to it.",
        _BY_HTTPS + "Else, on the instance: ssh-keyscan HOST >> ~/.ssh/known_hosts, and compare the key with what the "
        "server's owner publishes.",
    ),
    Signature(
        "needs_login",
        "g",
        r"Permission denied \((?:publickey|password|keyboard-interactive)",
        "The git server lets nobody in by ssh without a key that it knows, and the instance has none.",
        _BY_HTTPS + "For a private one, put an SSH key on the instance, and its public part on the server.",
    ),
    Signature(
        "host_not_reached",
        "g",
        r"kex_exchange_identification|Connection (?:closed|reset) by \S+ port \d+",
        "The git server, or something before it, cut the ssh connection.",
        _BY_HTTPS + "Some providers and proxies let no ssh out.",
    ),
    Signature(
        "needs_login",
        "g",
        r"Invalid username or (?:password|token)|Password authentication (?:is not supported|was removed)|"
        r"HTTP Basic: Access denied|Invalid credentials",
        "The git server refuses the login that the instance has noted for it.",
        "Correct it on the instance: ~/.git-credentials, ~/.netrc, or a token in git config --global --list.",
    ),
    Signature(
        "git_access_denied",
        "g",
        r"Repository (?:access blocked|unavailable due to DMCA|is disabled|has been disabled)|returned error: 451",
        "The repository was blocked by the site that it is on.",
        "Look at its page in a browser: it says why. Take the pack out of the list, or name a copy of it.",
    ),
    Signature(
        "git_access_denied",
        "g",
        r"returned error: 403",
        "The git server refuses to give the repository (403).",
        "Open its address in a browser. If it is there, the instance's login for the server may lack the right to read "
        "it, or the server blocks the instance's network: start again later, or from another machine.",
    ),
    Signature(
        "repository_not_found_or_private",
        "g",
        r"could not read (?:Username|Password)|terminal prompts disabled|Authentication failed|returned error: 401",
        "The repository does not exist, or it is private.",
        "Check its address. If it is private, set up git credentials on the instance.",
    ),
)
