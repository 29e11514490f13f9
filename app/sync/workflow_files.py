"""Workflow files that were sent to this service: only the graphs in them are kept, for as long as somebody may install
what they need."""

from __future__ import annotations

import json
import time
import uuid
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from app.domain.workflow_file_errors import WorkflowFileNotFound, WorkflowFileUnusable
from app.storage.documents import Documents
from app.workflowfile.errors import WorkflowFileError
from app.workflowfile.forms import Graphs
from app.workflowfile.limits import MAX_TEXT_BYTES
from app.workflowfile.read_file import WorkflowFile, read_file

FOLDER, _ENDING = "workflow-files", ".json.z"
KEPT_SECONDS = 7 * 24 * 3600.0
MAX_KEPT = 200
"""Of more, the oldest are forgotten."""


class WorkflowFiles:
    """The workflow files by their ids. Every method may be called from any thread."""

    def __init__(self, documents: Documents, now: Callable[[], float] = time.time) -> None:
        self._documents = documents
        self._now = now

    def add(self, file: IO[bytes], name: str | None = None) -> tuple[str, WorkflowFile]:
        """Keeps the graphs of a file. `name`: as its owner calls it. Returns its new id, and what it is. Raises
        WorkflowFileUnusable."""
        try:
            found = read_file(file)
        except WorkflowFileError as exc:
            raise WorkflowFileUnusable(str(exc), code=exc.code) from exc
        file_id = str(uuid.uuid4())
        content = json.dumps(
            {"kind": found.kind, "name": name, "ui": found.graphs.ui, "api": found.graphs.api}
        ).encode()
        self._forget_old()
        self._documents.write(_name(file_id), zlib.compress(content))
        return file_id, found

    def find(self, file_id: str) -> WorkflowFile:
        """The file with this id, which is a UUID. Raises WorkflowFileNotFound."""
        content = self._documents.read(_name(file_id))
        if content is None:
            raise WorkflowFileNotFound("This service has no such workflow file, or no longer.", field="workflow_file")
        value = json.loads(zlib.decompressobj().decompress(content, 3 * MAX_TEXT_BYTES))
        return WorkflowFile(str(value["kind"]), Graphs(value["ui"], value["api"]), value.get("name"))

    def _forget_old(self) -> None:
        """Files that are too old, and the oldest of too many."""
        with suppress(OSError):
            for number, (name, at) in enumerate(self._documents.newest_first(FOLDER, _ENDING)):
                if self._now() - at > KEPT_SECONDS or number >= MAX_KEPT - 1:
                    self._documents.remove(name)


def _name(file_id: str) -> str:
    return f"{FOLDER}/{uuid.UUID(file_id)}{_ENDING}"
