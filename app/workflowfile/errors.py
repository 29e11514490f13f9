"""What can be wrong with a workflow file."""

from __future__ import annotations


class WorkflowFileError(ValueError):
    """A file of which no workflow can be read. `code` is stable, the text says what to do."""

    code = "workflow_file_unreadable"


class UnknownFile(WorkflowFileError):
    """The file is of no kind that can hold a workflow."""

    code = "workflow_file_unknown"


class NoWorkflow(WorkflowFileError):
    """The file is sound, but no workflow was saved with it."""

    code = "workflow_file_empty"


class TooMuch(WorkflowFileError):
    """The file has more of something than any honest workflow."""

    code = "workflow_file_too_large"
