"""Streamlit's command line with our page imported and the usual start computed beforehand, so that the first visitor does not
wait for that."""

from threading import Thread

from streamlit.web.cli import main

import bpsim.dashboard.page  # noqa: F401
from bpsim.dashboard.desk import Desk
from bpsim.dashboard.runs_page import prepare

Thread(target=prepare, args=(Desk.opened().order,), daemon=True).start()
main(prog_name="streamlit")
