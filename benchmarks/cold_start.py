"""How much processor time importing and indexing the app takes in a fresh process."""

import os
import statistics
import subprocess
import sys

RUNS = 7

_SCRIPT = "import time, function_app; function_app.app.get_functions(); print(time.process_time())"
_BARE = "import time; print(time.process_time())"


def milliseconds() -> tuple[float, float]:
    """Return the medians for the app and for a bare interpreter."""
    return _median(_SCRIPT), _median(_BARE)


def _median(script: str) -> float:
    # An app is deployed compiled; the first run, which is not counted, compiles what is not.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def once() -> float:
        command = [sys.executable, "-c", script]
        output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        return float(output.strip().splitlines()[-1]) * 1000

    once()
    return statistics.median(once() for _ in range(RUNS))
