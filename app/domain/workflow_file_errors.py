"""Errors of workflow files and of the lists that are made from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.errors import AppError, InvalidRequest


class WorkflowFileUnusable(InvalidRequest):
    """No workflow can be read of this file."""

    code = "workflow_file_unreadable"


class WorkflowFileNotFound(AppError):
    """This service has no such workflow file, or no longer."""

    code = "workflow_file_not_found"


class RunHasNoWorkflow(AppError):
    """The run was not started with a workflow file, or it is not kept any more."""

    code = "run_has_no_workflow"


class ManifestHasQuestions(AppError):
    """It is not certain which node packs a workflow needs."""

    code = "manifest_has_questions"
    questions: tuple[Mapping[str, Any], ...] = ()
    """Those that are open, as `/manifests/check` has them."""
