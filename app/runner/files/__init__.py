"""Folders and files on the instance: moved, copied, and what is mounted in them."""
