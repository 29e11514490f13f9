"""What packs' own code did to the environment: found, told, and put back where it broke something."""
