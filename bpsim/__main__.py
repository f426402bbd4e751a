"""`python -m bpsim`."""

from bpsim.cli import main

main()
