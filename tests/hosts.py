"""Functions hosts of the real app as processes that a test can kill."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from local.processes import spawn, stop
from tests.conftest import free_ports

ROOT = Path(__file__).parent.parent


class Host:
    """One Functions host of the app in this repository."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.port = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / f"host-{self.port}.log"
        self.environment = {**os.environ, **environment, "PORT": str(self.port)}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the host and wait until it is healthy."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "local.functions_host"]
            self.process = spawn(command, environment=self.environment, directory=ROOT, output=log)
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the host did not become healthy:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """End the host as the out-of-memory killer would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """Ask the host to end."""
        if self.process is not None:
            stop(self.process)


@contextlib.contextmanager
def hosts(count: int, directory: Path, **environment: str) -> Iterator[list[Host]]:
    """Run so many hosts on the storage that this process's environment names."""
    running = [Host(directory, {"SPOOL_DIR": str(directory / "spool"), **environment}) for _ in range(count)]
    try:
        for host in running:
            host.start()
        yield running
    finally:
        for host in running:
            host.stop()
