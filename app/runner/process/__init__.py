"""Processes on the instance: child programs, the process table, lock files, paths and limits."""
