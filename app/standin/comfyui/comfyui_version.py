"""ComfyUI's version, where it has it."""

__version__ = "0.22.0"
