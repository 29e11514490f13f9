"""Whether a workflow is ready to run on a ComfyUI, judged by what that ComfyUI says of its classes.

Pure: graphs and the answer of `/object_info` come in, a verdict with its findings goes out. The reference is what
ComfyUI's own `validate_prompt` refuses, and how its page fills a node from `widgets_values`.
"""
