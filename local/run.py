"""`make run`: the whole service on one machine, in the foreground until Ctrl-C.

Azurite, the Microsoft 365 stand-in and the seed data come first and the Functions host last, so that its
`GET /health` answering 200 means that everything is ready. `--only-host` starts just another host beside them.

Settings: PORT (7071), MICROSOFT365_PORT (7072), AZURITE_PORT (10000, and the two after it), DATA_DIR (.local).
"""

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO
from urllib.error import HTTPError
from urllib.request import urlopen

from local import azurite
from local.directory import TENANTS
from local.functions_host.app_settings import SETTINGS_FILE, read_values
from local.processes import end_with_parent, is_answering, is_port_free, spawn, stop, wait_until_answering

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

PATIENCE_SECONDS = 120.0
"""How long the service may take until it is ready."""


class StartError(Exception):
    """What keeps the service from running, in words for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running part of the service."""

    name: str
    process: subprocess.Popen[bytes]


def run_environment(app: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of all parts: the defaults of a local run, under what somebody has set.

    A value counts as set when it stands in `environment` or in local.settings.json; the sample file lies below the
    defaults. `UseDevelopmentStorage=true` means this run's Azurite. Raises ValueError for a broken settings file.
    """
    values = read_values(app)
    given = {**(values if (app / SETTINGS_FILE).exists() else {}), **environment}
    given = {name: value for name, value in given.items() if value.rstrip(";") != "UseDevelopmentStorage=true"}
    ports = {
        "PORT": given.get("PORT") or "7071",
        "MICROSOFT365_PORT": given.get("MICROSOFT365_PORT") or "7072",
        "AZURITE_PORT": given.get("AZURITE_PORT") or "10000",
    }
    for name, port in ports.items():
        if not port.isdecimal() or not 1 <= int(port) <= 65533:
            raise ValueError(f"{name} is {port!r}; it must be a port number between 1 and 65533")
    data = Path(given.get("DATA_DIR") or ".local").resolve()
    defaults = {
        "AzureWebJobsStorage": azurite.connection_string(int(ports["AZURITE_PORT"])),
        "BASE_URL": f"http://127.0.0.1:{ports['PORT']}",
        "MICROSOFT365_URL": f"http://127.0.0.1:{ports['MICROSOFT365_PORT']}",
        "SPOOL_DIR": str(data / "spool"),
    }
    set_already = {name: value for name, value in given.items() if value or name not in defaults}
    return {**values, **defaults, **set_already, **ports, "DATA_DIR": str(data), "PYTHONUNBUFFERED": "1"}


def main() -> int:
    """Run the service; return 0 after Ctrl-C or SIGTERM, 1 when it could not start or a part of it died."""
    parser = argparse.ArgumentParser(prog="python -m local.run", description=__doc__)
    parser.add_argument("--only-host", action="store_true", help="start another Functions host, nothing else")
    parser.add_argument("--end-with-parent", action="store_true", help="stop when the parent process is killed")
    options = parser.parse_args()
    if options.end_with_parent:
        end_with_parent()
    for name in STOP_SIGNALS:
        signal.signal(name, _interrupt)
    children: list[Child] = []
    try:
        environment = run_environment(Path(), os.environ)
        if options.only_host:
            exec_host(environment)
        _start(environment, children)
        _say(_where_to_look(environment))
        while True:
            _check_alive(children)
            time.sleep(0.2)
    except KeyboardInterrupt:
        _say("Stopping ...")
        return 0
    except (StartError, ValueError, OSError) as error:
        _say(f"Error: {error}")
        return 1
    finally:
        _stop_all(children)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    # Stopping in order has begun: a second Ctrl-C, or the one that make passes on, must not break it off.
    for name in STOP_SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    raise KeyboardInterrupt


def exec_host(environment: Mapping[str, str]) -> None:
    """Become a Functions host beside a running `make run`. Raises StartError when that is not there."""
    needed = [("Azurite", "AZURITE_PORT")]
    if not environment.get("AZURE_CLIENT_SECRET"):
        needed.append(("the Microsoft 365 stand-in", "MICROSOFT365_PORT"))
    for what, setting in needed:
        if not is_answering(int(environment[setting])):
            port = environment[setting]
            raise StartError(f"{what} does not answer on port {port} ({setting}); start `make run` first")
    os.execve(sys.executable, [sys.executable, "-m", "local.functions_host"], environment)  # noqa: S606


def _start(environment: Mapping[str, str], children: list[Child]) -> None:
    """Start all parts, adding each to `children`; return when all is ready. Raises StartError when it cannot be."""
    stand_in = not environment.get("AZURE_CLIENT_SECRET")
    port, stand_in_port, azurite_port = (
        int(environment[name]) for name in ("PORT", "MICROSOFT365_PORT", "AZURITE_PORT")
    )
    for setting, taken in (("PORT", port), *((("MICROSOFT365_PORT", stand_in_port),) if stand_in else ())):
        if not is_port_free(taken):
            raise StartError(f"port {taken} is already in use; choose another with {setting}")
    data = Path(environment["DATA_DIR"])
    _claim(data)
    try:
        azurite.install()
        _say("Starting Azurite ...")
        children.append(Child("azurite", azurite.start(azurite_port, data / "azurite")))
    except (RuntimeError, TimeoutError, subprocess.CalledProcessError) as error:
        raise StartError(f"Azurite {error}") from error
    if stand_in:
        _say("Starting the Microsoft 365 stand-in ...")
        _add(children, "microsoft365", ["-m", "local.microsoft365"], environment)
        try:
            wait_until_answering(children[-1].process, [stand_in_port])
        except (RuntimeError, TimeoutError) as error:
            raise StartError(f"the Microsoft 365 stand-in {error}") from error
    _say("Seeding the demo organizations ...")
    _add(children, "seed", ["-m", "local.seed"], environment)
    seed = children[-1]
    while seed.process.poll() is None:
        _check_alive([child for child in children if child is not seed])
        time.sleep(0.05)
    children.remove(seed)
    if seed.process.returncode != 0:
        raise StartError(f"seeding failed with status {seed.process.returncode}")
    _say("Starting the Functions host ...")
    _add(children, "host", ["-m", "local.functions_host"], environment)
    _wait_until_healthy(f"http://127.0.0.1:{port}/health", children)


def _claim(data: Path) -> None:
    """Keep other runs off this directory, where a second Azurite would overwrite what the first one keeps.

    Raises StartError.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        # Never closed: the lock goes with this process, however that ends.
        descriptor = os.open(data / "in-use", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError(f"another run keeps its data in {data}; choose another directory with DATA_DIR") from None
    except OSError as error:
        raise StartError(f"no data can be kept in {data} ({error.strerror}); choose another with DATA_DIR") from error


def _add(children: list[Child], name: str, arguments: list[str], environment: Mapping[str, str]) -> None:
    """Start a Python part whose output appears here, line by line, under its name."""
    process = spawn([sys.executable, *arguments], environment=environment, output=subprocess.PIPE)
    children.append(Child(name, process))
    if process.stdout is not None:
        threading.Thread(target=_forward, args=(name, process.stdout), daemon=True).start()


def _forward(name: str, output: IO[bytes]) -> None:
    for line in output:
        _say(f"{name:<12} | {line.decode('utf-8', 'replace').rstrip()}")


def _wait_until_healthy(url: str, children: list[Child]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    answer = "no answer"
    while time.monotonic() < deadline:
        _check_alive(children)
        try:
            with urlopen(url, timeout=5):
                return
        except HTTPError as error:
            answer = f"status {error.code}"
        except OSError:
            pass
        time.sleep(0.1)
    raise StartError(f"the service is not ready after {PATIENCE_SECONDS:.0f} seconds: {answer} from {url}")


def _check_alive(children: list[Child]) -> None:
    for child in children:
        if (status := child.process.poll()) is not None:
            raise StartError(f"{child.name} ended with status {status}; everything else is stopped")


def _stop_all(children: list[Child]) -> None:
    """Stop the last started first: the host finishes its work while storage is still there."""
    for name in STOP_SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    for child in reversed(children):
        stop(child.process)


def _where_to_look(environment: Mapping[str, str]) -> str:
    base = environment["BASE_URL"]
    lines = ["", "Email Engagement is ready."]
    lines += [f"  Web API    {base}/{tenant.organization}/api/data/v9.2/" for tenant in TENANTS]
    if not environment.get("AZURE_CLIENT_SECRET"):
        lines.append(f"  Mailboxes  {environment['MICROSOFT365_URL']}/")
    lines += [
        "  Token      make -s token USER=seller@contoso.example",
        "  A tour     make demo",
        "  Stop       Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
