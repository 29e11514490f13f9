"""An instance whose every answer is drawn from true, changed and evil ones, against a real service."""
