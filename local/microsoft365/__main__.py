"""Start the stand-in: `python -m local.microsoft365`, until Ctrl-C.

Environment: MICROSOFT365_PORT (7072), DATA_DIR (.local), MICROSOFT365_CONTRACT (an OpenAPI file to check every exchange
by).
"""

import os
import sys
from pathlib import Path

import uvicorn

from local.microsoft365.app import create_app


def main() -> None:
    """Serve on 127.0.0.1 only."""
    port = os.environ.get("MICROSOFT365_PORT") or "7072"
    if not port.isdigit() or not 0 < int(port) < 65536:
        sys.exit(f"MICROSOFT365_PORT must be a port number, not '{port}'")
    contract = os.environ.get("MICROSOFT365_CONTRACT")
    app = create_app(
        f"http://127.0.0.1:{port}", Path(os.environ.get("DATA_DIR") or ".local"), Path(contract) if contract else None
    )
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(port),
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
