"""The dashboard: `streamlit run app.py`, or `bpsim dashboard` where bpsim is installed."""

from bpsim.dashboard.page import show

show()
