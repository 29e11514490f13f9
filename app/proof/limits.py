"""How much of a proof is made and kept."""

from __future__ import annotations

MAX_CLASSES = 50_000
"""Of a ComfyUI. One with 200 packs has 10,000."""
MAX_INPUTS = 500
"""Of a class, those of its dynamic inputs among them."""
MAX_NODES = 20_000
"""Of a workflow, with the nodes of each use of a subgraph."""
MAX_DEPTH = 64
"""Subgraphs within each other, and stations of one link."""
MAX_FINDINGS = 100
"""That are listed."""
MAX_COUNTED = 1_000
"""Findings after which nobody looks on."""
MAX_ALIKE = 10_000
"""Choices among which another spelling of a missing one is looked for."""
MAX_TEXT = 300
"""Characters of a text that a file or a ComfyUI has given."""
