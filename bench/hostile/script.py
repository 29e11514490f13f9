"""What happens on one hostile instance: drawn once from seed and number, so that it can be played again."""

from __future__ import annotations

import random
from dataclasses import dataclass

BELOW = (
    "silent",
    "banner without end",
    "lines before the banner without end",
    "banner a byte at a time",
    "closes at once",
    "closes after the banner",
    "speaks HTTP",
    "banner of another version",
    "key exchange of random bytes",
    "a packet of 4 GB",
    "closes in the key exchange",
    "stops in the key exchange",
)
"""Before there is an SSH connection."""
TRANSPORT = (
    "messages to ignore without end",
    "debug messages without end",
    "new keys without end",
    "closes in the login",
    "the login is never answered",
    "a login banner of 30 KB that steers",
    "requests without end",
    "unknown messages",
    "answers to what nobody asked",
    "closes at a random moment",
)
"""While there is one, whatever is run over it."""
CHANNEL = (
    "refused",
    "never opened",
    "never started",
    "not started",
    "status without an end",
    "end without a status",
    "output without end",
    "errors without end",
    "errors of an unknown kind",
    "reads no input",
    "window without bound",
    "more than the window",
    "closes with the connection",
    "output after its end",
)
"""One command's channel."""
COMMAND = (
    "changed answer",
    "not a number",
    "too deep",
    "too long",
    "no object",
    "no answer",
    "another's answer",
    "an error that steers",
    "an evil status",
    "never ends",
    "two answers",
)
"""What a command of the runner says."""
JOURNAL = (
    "changed lines",
    "goes back",
    "repeats",
    "shrinks",
    "invented packs",
    "steps without end",
    "warnings without end",
    "plans without end",
    "facts without end",
    "builds without end",
    "questions without end",
    "texts of 1 MB without end",
    "unknown events without end",
    "heartbeats without end",
    "silence",
    "noise without end",
    "a line without end",
    "logs without end",
    "logs that are none",
    "frames that are none",
    "offsets that are none",
    "ends without an end",
    "ends twice",
    "a lock that lies",
    "steers",
    "cancel is not heeded",
)
"""What the follower sends."""
LEVELS = {"below": BELOW, "transport": TRANSPORT, "channel": CHANNEL, "command": COMMAND, "journal": JOURNAL}
ALL = tuple((level, what) for level, words in LEVELS.items() for what in words)
ASKED = ("find", "upload", "start", "follow", "status", "cancel", "sweep")
"""The commands that an install may run."""


@dataclass(frozen=True, slots=True)
class Script:
    """`level` and `what`: the lie. `at`: the connection (from 0) from which on it is told, in the others the instance
    answers truly, and loses the connection. `command`: whose channel or answer it is. `again`: on later connections
    too. `cancel_after`: seconds until the user cancels. `confirms`: whether an instance that lies in its journal says
    that it has the cancel."""

    number: int
    seed: int
    level: str
    what: str
    at: int
    command: str
    again: bool
    cancel_after: float
    confirms: bool = True

    @property
    def name(self) -> str:
        return f"{self.level}: {self.what}"

    def dice(self, *more: object) -> random.Random:
        """Dice of this script for one purpose."""
        return random.Random(f"{self.seed}:{self.number}:{':'.join(map(str, more))}")

    def lies(self, connection: int) -> bool:
        """Whether this connection is the one."""
        return connection >= self.at if self.again else connection == self.at


def script_of(seed: int, number: int, patience: float, *, confirm: bool = True) -> Script:
    """Every lie comes in turn; the rest is drawn. A third of the tasks is cancelled at a random moment, the others
    after `patience` seconds, where they have not ended by then. `confirm`: whether there are instances that say that
    they have a cancel, and go on."""
    dice = random.Random(f"{seed}:{number}")
    order = list(ALL)
    random.Random(f"{seed}:{number // len(ALL)}").shuffle(order)
    level, what = order[number % len(ALL)]
    command = dice.choice(ASKED)
    early = dice.random() < 0.34 or (command == "cancel" and level in ("command", "channel"))
    return Script(
        number=number,
        seed=seed,
        level=level,
        what=what,
        at=dice.choice((0, 0, 0, 1)),
        command=command,
        again=dice.random() < 0.7,
        cancel_after=dice.uniform(0.0, 12.0) if early else patience,
        confirms=dice.random() < 0.5 and confirm,
    )
