"""Proof by chance: a cluster whose parts are killed, frozen and cut off while installs run, and whether all end so."""
