"""`bpsim dashboard`: Streamlit started on our page, telling nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SETTINGS = {
    "browser.gatherUsageStats": "false",
    "server.maxUploadSize": "1",
    "server.fileWatcherType": "none",
    "client.toolbarMode": "minimal",
    "theme.light.primaryColor": "#3a6fd8",
    "theme.dark.primaryColor": "#7aa2ff",
    "theme.light.chartCategoricalColors": '["#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd"]',
    "theme.dark.chartCategoricalColors": '["#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd"]',
}
"""As in `.streamlit/config.toml`, which counts for `streamlit run app.py` in a checkout."""
APP = Path(__file__).with_name("app.py")


def command(port: int, address: str, browser: bool) -> list[str]:
    """What is started."""
    settings = SETTINGS | {
        "server.port": str(port), "server.address": address, "server.headless": "false" if browser else "true",
    }  # fmt: skip
    options = [f"--{name}={value}" for name, value in settings.items()]
    return [sys.executable, "-m", "bpsim.dashboard", "run", str(APP), *options]


def serve(port: int, address: str, browser: bool) -> int:
    """Serve until interrupted; returns Streamlit's exit code. Where a process can become another one it does: whatever stops
    it, `docker stop` or ^C, then stops the server itself."""
    started = command(port, address, browser)
    if os.name == "posix":
        os.execv(started[0], started)
    try:
        return subprocess.run(started, check=False).returncode
    except KeyboardInterrupt:
        return 0
