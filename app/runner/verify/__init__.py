"""Whether it works: the environment is compared, and ComfyUI itself imports each pack."""
