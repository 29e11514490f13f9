"""ComfyUI runs as another user than the one who logs in."""
