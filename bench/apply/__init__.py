"""Proof by chance: changes of packages that are ended at a random moment, and whether anything was lost."""
