"""Reads workflow files: the graphs that ComfyUI saves as JSON, or puts into the pictures, videos and sounds it makes.

Pure: bytes in, typed values out. No network, no instance, nothing is executed. `read_file` is the way in.
"""
