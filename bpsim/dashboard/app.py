"""What Streamlit runs, as `app.py` in a checkout does."""

if __name__ == "__main__":  # the processes that runs are made in import this file, too
    from bpsim.dashboard.page import show

    show()
