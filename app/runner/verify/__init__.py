"""Whether it works: the environment asked again, and each pack imported by ComfyUI itself."""
