"""Turns what programs print when they fail into a reason code, a message and a hint: one table of signatures."""
