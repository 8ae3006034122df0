"""`python -m local.functions_host [--app DIR]`: serve a function app on PORT (7071) of HOST (127.0.0.1)."""

import argparse
import logging
import os
import socket
import sys
from pathlib import Path

import uvloop

from local.functions_host.app_settings import load_app_settings
from local.functions_host.host_json import load_host_options
from local.functions_host.logs import configure_logging
from local.functions_host.server import run
from local.functions_host.worker import IndexingError


def main() -> int:
    """Run until told to stop; return the exit status: 0 after a stop in order, 1 when the host could not start."""
    parser = argparse.ArgumentParser(prog="python -m local.functions_host", description=main.__doc__)
    parser.add_argument("--app", type=Path, default=Path(), help="the directory with function_app.py and host.json")
    app = parser.parse_args().app.resolve()
    try:
        settings = load_app_settings(app, os.environ)
        options = load_host_options(app)
        configure_logging(options.log_level)
        listener = bind(settings.get("HOST") or "127.0.0.1", int(settings.get("PORT") or 7071))
        os.environ.update(settings)
        os.chdir(app)
        uvloop.run(run(app, options, settings, listener))
        # Connections that functions keep for their whole life end with the process; nobody has to read about it.
        logging.getLogger("asyncio").disabled = True
    except (IndexingError, ValueError, OSError) as error:
        print(f"The Functions host cannot start: {error}", file=sys.stderr)
        return 1
    return 0


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to this address; it does not listen yet. Raises OSError naming the setting to change."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"port {port} is not free ({error.strerror}); choose another with PORT") from error
    return listener


if __name__ == "__main__":
    sys.exit(main())
