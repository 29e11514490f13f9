"""The rollback record, and bringing packages and packs back to it."""
