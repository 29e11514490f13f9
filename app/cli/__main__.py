"""`python -m app.cli`: the command line where there is no run.py, in an installed wheel."""

from app.cli.entry import main

if __name__ == "__main__":
    main()
