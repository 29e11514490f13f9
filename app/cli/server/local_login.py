"""How the command line logs in to a service of the same user on this machine: with a secret that is made at each start
of the service and stands in its data folder while it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.cli.errors import CliError
from app.domain.access import new_secret
from app.storage.errors import StorageError
from app.storage.private_file import read_private, write_private

FILE_NAME = "login.secret"


@contextmanager
def local_login(data_dir: Path) -> Iterator[str]:
    """A fresh secret, which is in the data folder for the block. Raises StorageError."""
    path, secret = data_dir / FILE_NAME, new_secret()
    write_private(path, secret.encode("ascii"))
    try:
        yield secret
    finally:
        with suppress(OSError):
            path.unlink()


def local_secret(data_dir: Path) -> str:
    """The secret of the service that runs on the folder; "" where there is none. Raises CliError for a file that is
    not this user's alone."""
    path = data_dir / FILE_NAME
    try:
        if os.lstat(path).st_uid != os.geteuid():
            return ""  # another user's service: a token is needed there, as anywhere else
        return (read_private(path) or b"").decode("ascii", "replace")
    except FileNotFoundError:
        return ""
    except StorageError as exc:
        raise CliError(exc.message, hint=exc.hint or "Stop the service, remove the file, and start it again.") from exc
    except OSError:
        return ""
