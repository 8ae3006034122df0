"""The stand-in on a thread of this process, on a free port: for tests and demonstrations."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from local.microsoft365.app import create_app


@contextlib.contextmanager
def running(data_dir: Path, contract: Path | None = None, port: int = 0) -> Iterator[str]:
    """Serve on 127.0.0.1 while the context lasts and give the base address; port 0 takes a free one.

    `contract` is an OpenAPI file to check every Graph exchange by. Raises RuntimeError when it does not start in 10
    seconds.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        create_app(base_url, data_dir, contract),
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not server.started:
            if time.monotonic() > deadline or not thread.is_alive():
                raise RuntimeError("the Microsoft 365 stand-in did not start")
            time.sleep(0.01)
        yield base_url
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
