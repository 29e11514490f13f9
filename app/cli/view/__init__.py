"""What the terminal shows: live, as lines, as tables. Pure."""
