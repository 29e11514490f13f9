"""ComfyUI itself: its quick test, what it prints, how it crashes, and the one that is running."""
