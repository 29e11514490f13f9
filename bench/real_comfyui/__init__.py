"""The whole way on a real ComfyUI: see `__main__.py`."""
