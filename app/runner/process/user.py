"""A user of the machine, as whom a child program may run instead of as the runner's own."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple


@dataclass(frozen=True)
class User:
    """`groups`: all of its groups. `home`, `name`: empty where the number has no account."""

    uid: int
    gid: int
    groups: Tuple[int, ...] = ()
    home: str = ""
    name: str = ""

    def __str__(self) -> str:
        return "user %s" % (self.name or self.uid)

    def environ(self, other_home: Path) -> Dict[str, str]:
        """What a login of this user sets, and what it must not take over from the runner's own. `other_home`: its home
        where it has none of its own."""
        own = Path(self.home) if self.home else other_home
        home = own if own.is_dir() and own.stat().st_uid == self.uid else other_home
        name = self.name or str(self.uid)
        empty = {variable: "" for variable in os.environ if variable.startswith("XDG_")}
        return {**empty, "HOME": str(home), "USER": name, "LOGNAME": name}


def user_of_account(uid: int, gid: int) -> User:
    """The user with this number, in the groups that its account has."""
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return User(uid, gid, (gid,))
    return User(uid, gid, tuple(os.getgrouplist(account.pw_name, gid)), account.pw_dir, account.pw_name)


def user_of_process(pid: int) -> Optional[User]:
    """As whom a process runs; None if it is gone, or the system does not say. Source of the format: proc(5). The owner
    of /proc/PID does not say it: that is root's for a process that may not be dumped."""
    try:
        lines = Path("/proc/%d/status" % pid).read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    if not {"Uid", "Gid"} <= fields.keys():
        return None
    account = user_of_account(int(fields["Uid"][1]), int(fields["Gid"][1]))
    return User(account.uid, account.gid, tuple(map(int, fields.get("Groups", ()))), account.home, account.name)
