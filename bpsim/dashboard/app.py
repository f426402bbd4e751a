"""What Streamlit runs, as `app.py` in a checkout does."""

from bpsim.dashboard.page import show

show()
