"""What the instance is: ComfyUI's folder, its interpreter, git, GPU, and the profiles of images."""
