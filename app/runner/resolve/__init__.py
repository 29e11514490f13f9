"""What packs require, resolved with uv against ComfyUI's environment and installed in stages."""
