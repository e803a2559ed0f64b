"""`python -m qjet` is the `qjet` command."""

from qjet.cli import main

if __name__ == "__main__":
    main()
