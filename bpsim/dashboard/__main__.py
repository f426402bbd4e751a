"""Streamlit's command line with our page imported and the usual start begun beforehand, so that the first visitor waits for
neither."""

if __name__ == "__main__":  # the processes that runs are made in import this file, too
    from threading import Thread

    from bpsim.dashboard.desk import Desk
    from bpsim.dashboard.study import prepare, studies

    Thread(target=prepare, args=(Desk.opened().order,), daemon=True).start()

    from streamlit.web.cli import main

    import bpsim.dashboard.page  # noqa: F401

    try:
        main(prog_name="streamlit")
    finally:
        studies().workers.close()
