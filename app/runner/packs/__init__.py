"""From the manifest to folders under custom_nodes: clones, what was there already, and install scripts."""
