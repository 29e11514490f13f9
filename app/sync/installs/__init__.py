"""Installs: from the accepted request to the recorded end."""
