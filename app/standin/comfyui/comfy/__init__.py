"""Where ComfyUI's samplers and models live; packs may import it."""
