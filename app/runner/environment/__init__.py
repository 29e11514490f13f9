"""ComfyUI's Python environment: what is installed, and whether it fits together."""
