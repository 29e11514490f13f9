"""Runs: installs with all that follows them, workflows and fleets, each as one thing."""
