"""The dashboard: `streamlit run app.py`, or `bpsim dashboard` where bpsim is installed."""

if __name__ == "__main__":  # the processes that runs are made in import this file, too
    from bpsim.dashboard.page import show

    show()
