"""The names of the task list's lines. The first five are the original API's words, hence as they are spelled there."""

from __future__ import annotations

CONNECT = "Connect"
CLONE_AUTO_INSTALLER = "Clone Auto-installer"
CONFIGURE_VENV = "Configure venv path"
CUSTOM_NODES = "Custom nodes"
VERIFY = "Verify Dependencies"
RESTART = "Restart ComfyUI"
PROOF = "Check that the workflow is ready"
SYSTEM_PACKAGES = "Install system packages"
