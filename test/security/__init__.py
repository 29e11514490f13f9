"""Attacks, as tests. docs/security.md lists them."""
