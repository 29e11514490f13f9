"""ComfyUI's registry of node packs, as this service asks it."""
