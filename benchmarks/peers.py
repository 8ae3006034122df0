"""Running what we are measured beside: the peer on PostgreSQL, and nginx's empty GIF as the ceiling."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytracking

from benchmarks.peer import configuration
from local.processes import is_port_free, spawn, stop, wait_until_answering

_SCHEMA = """
create table hits
    (id bigserial primary key, kind text, email text, target text, at timestamptz, address text, agent text)
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer."""

    url: str
    pid: int
    pixels: list[str]
    links: list[str]
    database: str

    def set_synchronous_commit(self, *, on: bool) -> None:
        """Have the database wait for the disk at every commit, or not."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(f"alter system set synchronous_commit = {'on' if on else 'off'}")
            connection.execute("select pg_reload_conf()")
        time.sleep(0.5)


def postgres_programs() -> Path | None:
    """Return where Debian keeps PostgreSQL's server programs, the newest version, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    return found[-1].parent if found else None


@contextlib.contextmanager
def pytracking_peer(directory: Path, emails: int, target: str) -> Iterator[Peer]:
    """Run the peer with a database of its own in `directory` until the block ends."""
    with _postgres() as database:
        port = _free_port()
        command = [
            sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{port}", "--log-level", "error",
            *os.environ.get("PEER_GUNICORN", "").split(), "benchmarks.peer:create_app()",
        ]  # fmt: skip
        with (directory / "peer.log").open("wb") as log:
            process = spawn(command, environment={**os.environ, "PEER_DATABASE": database}, output=log)
        try:
            wait_until_answering(process, [port])
            yield Peer(f"http://127.0.0.1:{port}", process.pid, *_paths(emails, target), database)
        finally:
            stop(process)


@contextlib.contextmanager
def nginx(directory: Path) -> Iterator[str]:
    """Run nginx with an empty GIF in `directory` until the block ends; yield its address."""
    port = _free_port()
    (directory / "nginx.conf").write_text(
        f"""
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{ worker_connections 256; }}
http {{ access_log off;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{ listen 127.0.0.1:{port}; location / {{ empty_gif; }} }} }}
"""
    )
    process = spawn([shutil.which("nginx") or "/usr/sbin/nginx", "-c", directory / "nginx.conf"])
    try:
        wait_until_answering(process, [port])
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def has_nginx() -> bool:
    """Return whether nginx is installed."""
    return shutil.which("nginx") is not None or Path("/usr/sbin/nginx").exists()


@contextlib.contextmanager
def _postgres() -> Iterator[str]:
    programs = postgres_programs()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="email-engagement-postgres-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        # PostgreSQL does not run as root; Debian's package brings a user for it.
        as_user: list[str | Path] = []
        if os.geteuid() == 0:
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            user = pwd.getpwnam("postgres")
            os.chown(directory, user.pw_uid, user.pw_gid)
        data, port = directory / "data", _free_port()
        initdb = [*as_user, programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=directory)
        postgres = [*as_user, programs / "postgres", "-D", data, "-p", str(port), "-k", directory]
        process = spawn([*postgres, "-c", "listen_addresses=127.0.0.1"], directory=directory, output=subprocess.DEVNULL)
        try:
            wait_until_answering(process, [port])
            database = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
            _create_schema(database)
            yield database
        finally:
            stop(process)


def _create_schema(database: str) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute(_SCHEMA)
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return


def _paths(emails: int, target: str) -> tuple[list[str], list[str]]:
    tracking, base = configuration(), "http://127.0.0.1"
    metadata = [{"email": f"{n:032x}"} for n in range(emails)]
    pixels = [pytracking.get_open_tracking_url(m, configuration=tracking).removeprefix(base) for m in metadata]
    links = [pytracking.get_click_tracking_url(target, m, configuration=tracking).removeprefix(base) for m in metadata]
    return pixels, links


def _free_port() -> int:
    return next(port for port in range(7600, 9000) if is_port_free(port))
