"""Load by wrk: a fixed time of GETs over a list of paths, from many client addresses."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 3

_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Safari/537.36"
)
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw; times in milliseconds."""

    requests: int
    per_second: float
    p50: float
    p99: float
    errors: int


def has_wrk() -> bool:
    """Return whether wrk is installed."""
    return shutil.which("wrk") is not None


def run(base_url: str, paths: Sequence[str], connections: int, directory: Path, seconds: int = SECONDS) -> Load:
    """Ask for `paths` in turn over so many connections, and return what came of it."""
    script = directory / "load.lua"
    script.write_text(_script(paths))
    output = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", script, base_url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return _parse(output)


def _script(paths: Sequence[str]) -> str:
    listed = ",\n".join(f'"{path}"' for path in paths)
    return f"""
local paths = {{ {listed} }}
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", paths[n % #paths + 1], {{
    ["User-Agent"] = "{_AGENT}", ["Accept"] = "*/*", ["Accept-Language"] = "en",
    ["X-Forwarded-For"] = "203.0." .. (n % 251) .. "." .. (n % 241),
  }})
end
"""


def _parse(output: str) -> Load:
    def found(pattern: str) -> re.Match[str] | None:
        return re.search(pattern, output)

    def latency(percent: str) -> float:
        match = found(rf"{percent}%\s+([\d.]+)(us|ms|s)\b")
        return float(match[1]) * _UNITS[match[2]] if match else float("nan")

    requests, rate = found(r"(\d+) requests in"), found(r"Requests/sec:\s+([\d.]+)")
    bad = found(r"Non-2xx or 3xx responses: (\d+)")
    sockets = found(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
    errors = (int(bad[1]) if bad else 0) + (sum(map(int, sockets.groups())) if sockets else 0)
    return Load(
        int(requests[1]) if requests else 0, float(rate[1]) if rate else 0.0, latency("50"), latency("99"), errors
    )
