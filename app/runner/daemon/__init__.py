"""A run that outlives its connection: processes, locks, the journal, and the commands that start and follow it."""
