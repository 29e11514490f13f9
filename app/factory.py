"""The composition root: the only place that wires a service's real parts together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from flask import Flask
from sqlalchemy import Engine

from app.remote.connector import SshConnector
from app.settings import Settings
from app.storage.database import open_database
from app.storage.install_store import InstallStore
from app.storage.pins import DatabasePins
from app.storage.progress_files import ProgressFiles
from app.sync.background_tasks import BackgroundTaskManager, get_task_manager
from app.sync.installs import Installs
from app.sync.instance_checks import InstanceChecks
from app.sync.sync_api import create_app


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs: `app` answers HTTP. One a data folder; whoever builds it holds the folder's lock."""

    app: Flask
    installs: Installs
    checks: InstanceChecks
    settings: Settings
    engine: Engine

    def close(self, timeout: float = 3.0) -> None:
        """Lets go of every install within `timeout` seconds. Their runs go on; the next service attaches to them."""
        self.installs.close(timeout)
        self.engine.dispose()


def build_service(settings: Settings, *, background: BackgroundTaskManager | None = None) -> Service:
    """A service on the settings' data folder, unfinished installs taken up again. Raises StorageError.

    `background`: the threads' keeper; default: the process's one."""
    progress = ProgressFiles(settings.data_dir / "progress")
    engine = open_database(settings.resolved_database_url)
    pins = DatabasePins(engine)
    connector_with = partial(SshConnector, pins, key_files=settings.ssh_key_files)
    installs = Installs(
        store=InstallStore(engine),
        files=progress,
        connector=connector_with(settings.timeouts),
        background=background or get_task_manager(),
        settings=settings,
    )
    checks = InstanceChecks(pins, connector_with, settings.timeouts)
    app = create_app(installs, checks, settings)
    installs.resume_unfinished()
    return Service(app, installs, checks, settings, engine)
