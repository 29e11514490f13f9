"""How much of a workflow file is read: each limit with its reason.

The largest of 644 official templates has 0.9 MB of JSON and 30,000 lists and objects; the largest of 2,000 public
files 12 MB. All readers together stay under 200 MB of memory.
"""

from __future__ import annotations

MAX_FILE_BYTES = 512 * 1024 * 1024
"""Of a file. Only what stands in its metadata is read; a long video is larger than that seldom."""
MAX_TEXT_BYTES = 16 * 1024 * 1024
"""Of one graph's JSON, after it was decompressed."""
MAX_PARTS = 200_000
"""Chunks, boxes, elements and pages of one file: a picture of 512 MB in chunks of 8 kB has 64,000."""
MAX_TEXT_BYTES_OF_A_FILE = 24 * 1024 * 1024
"""Of all graphs of one file together: a workflow, its prompt, and little else."""
MAX_CONTAINERS = 400_000
"""Lists and objects of all JSON of one file. Each takes up to 200 bytes of memory."""
MAX_VALUES = 1_000_000
"""Values behind a comma, likewise. A key that occurs once takes up to 150 bytes."""
MAX_TEXTS = 64
"""Texts of one file that may be a graph. Each is looked at, and the first of each name is read."""
MAX_NODES = 20_000
"""Nodes of a graph, with those of its subgraphs."""
MAX_DEFINITIONS = 2_000
"""Subgraphs and group nodes of a graph."""
MAX_DEPTH = 32
"""Subgraphs within each other."""
MAX_NAME = 200
"""Characters of a class, a pack's id, a model's file name. What is longer is none."""
