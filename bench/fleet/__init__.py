"""A fleet of played instances: one process that answers SSH for a thousand of them, for load only."""
