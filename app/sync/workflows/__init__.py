"""The steps of a workflow, and how a workflow is shown."""
