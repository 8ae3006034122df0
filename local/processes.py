"""Child processes that end with us: on a clean stop in order, and when we are killed."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent dies (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _in_child(parent: int) -> Callable[[], None]:
    if sys.platform != "linux":
        return lambda: None
    # Loaded before the fork: a child between fork and exec must not import or open anything.
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def spawn(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    output: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that Ctrl-C reaches only us and we stop children in our order.

    `output` takes its standard output and error together. It gets SIGTERM when the thread that called this ends.
    """
    return subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=True,
        preexec_fn=_in_child(os.getpid()),  # noqa: PLW1509 - what it does is safe in a threaded process
    )


def stop(process: subprocess.Popen[bytes], patience: float = 15.0) -> int:
    """Ask a child to end (SIGTERM), kill it when it has not after `patience` seconds; return its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def is_port_free(port: int) -> bool:
    """Say whether a server could be started on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def is_answering(port: int) -> bool:
    """Say whether something accepts connections on this port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until_answering(process: subprocess.Popen[bytes], ports: Sequence[int], patience: float = 60.0) -> None:
    """Wait until all these ports accept connections.

    Raises RuntimeError when the process ends before, TimeoutError after `patience` seconds.
    """
    deadline = time.monotonic() + patience
    waiting = list(ports)
    while waiting := [port for port in waiting if not is_answering(port)]:
        if (status := process.poll()) is not None:
            raise RuntimeError(f"ended with status {status} before it was ready")
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing answers on port {waiting[0]} after {patience:.0f} seconds")
        time.sleep(0.05)
