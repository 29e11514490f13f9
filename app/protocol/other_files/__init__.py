"""Files of other tools that name node packs: each is read as data, and what cannot be had is told."""
