"""Nodeferry's command line from a checkout: `python run.py serve | install | demo`; `--help` explains each."""

from app.cli import main

if __name__ == "__main__":
    main()
