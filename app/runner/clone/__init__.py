"""From the manifest to folders under custom_nodes: clones, and what was there already."""
