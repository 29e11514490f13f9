"""The rollback record, and restoring packages and packs to it."""
