"""The second round: looks for versions with which more packs load, in a copy of the environment."""
