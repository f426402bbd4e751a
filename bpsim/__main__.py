"""`python -m bpsim`."""

from bpsim.cli import main

if __name__ == "__main__":
    main()
