"""Installs at once: what one service takes for 1, 10, 100 and 1,000 of them, on either engine."""
