"""Streamlit's command line with our page imported beforehand, so that the first visitor does not wait for that (1.2 s)."""

from streamlit.web.cli import main

import bpsim.dashboard.page  # noqa: F401

main(prog_name="streamlit")
