"""What a tunnel to a ComfyUI does with HTTP: lets in who was given its address, and keeps both sides' cookies apart."""
