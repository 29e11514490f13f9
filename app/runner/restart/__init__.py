"""Restarting ComfyUI: by its supervisor, or by ending it and starting it as it was."""
