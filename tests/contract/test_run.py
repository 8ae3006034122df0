"""`python -m local.run`: the parts of a local run start in order, are watched, and end together.

The app is a small one, so that these tests say nothing about ours; Azurite, the stand-in and the seed are real.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from local.processes import is_answering, is_port_free
from tests.conftest import free_ports

ROOT = Path(__file__).parents[2]
HEALTH_APP = """
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
@app.route(route="health", methods=["GET"])
async def health(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("well")
"""


class Run:
    """A `local.run` process in a directory of its own, its output in a file."""

    def __init__(self, directory: Path, *arguments: str, **settings: str) -> None:
        first = free_ports(5)
        self.ports = range(first, first + 5)
        self.output_file = directory / "output"
        (directory / "function_app.py").write_text(HEALTH_APP)
        (directory / "host.json").write_text('{"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}')
        (directory / "local.settings.sample.json").write_text((ROOT / "local.settings.sample.json").read_text())
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PORT": str(first),
            "MICROSOFT365_PORT": str(first + 1),
            "AZURITE_PORT": str(first + 2),
            **settings,
        }
        with self.output_file.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local.run", *arguments],
                cwd=directory,
                env=environment,
                stdout=output,
                stderr=output,
            )

    def output(self) -> str:
        return self.output_file.read_text()

    def wait_until_ready(self) -> None:
        eventually(lambda: self.process.poll() is not None or "is ready" in self.output())
        assert self.process.poll() is None, self.output()

    def ended(self) -> int:
        return self.process.wait(40)

    def everything_has_ended(self) -> bool:
        return all(is_port_free(port) for port in self.ports)


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start_one(*arguments: str, **settings: str) -> Run:
        directory = tmp_path / str(len(runs))
        directory.mkdir()
        runs.append(Run(directory, *arguments, **settings))
        return runs[-1]

    yield start_one
    for run in runs:
        with contextlib.suppress(ProcessLookupError):
            run.process.terminate()
        run.ended()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    run = Run(tmp_path_factory.mktemp("service"))
    try:
        run.wait_until_ready()
        yield run
    finally:
        run.process.terminate()
        run.ended()


def child(run: Run, command: str) -> int:
    """Return the id of the run's child process whose command line holds `command`."""
    children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
    return next(int(pid) for pid in children if command in Path(f"/proc/{pid}/cmdline").read_text())


linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and PR_SET_PDEATHSIG")


def test_it_is_healthy_and_says_where_to_look(service: Run) -> None:
    with urlopen(f"http://127.0.0.1:{service.ports[0]}/health", timeout=5) as answer:
        assert answer.read() == b"well"
    for text in ("/contoso/api/data/v9.2/", "/fabrikam/api/data/v9.2/", f":{service.ports[1]}/", "make -s token"):
        assert text in service.output()


def test_data_lies_below_the_data_directory(service: Run) -> None:
    assert (service.output_file.parent / ".local" / "azurite").is_dir()


@pytest.mark.parametrize(("setting", "offset"), [("PORT", 0), ("MICROSOFT365_PORT", 1), ("AZURITE_PORT", 2)])
def test_a_port_that_is_taken_is_named_with_its_setting(
    service: Run, start: Callable[..., Run], setting: str, offset: int
) -> None:
    port = service.ports[offset]
    second = start(**{setting: str(port)})
    assert second.ended() == 1
    assert re.search(rf"^Error: port {port} .*{setting}", second.output(), re.MULTILINE)


def test_data_that_another_run_uses_is_left_alone(service: Run, start: Callable[..., Run]) -> None:
    data = service.output_file.parent / ".local"
    second = start(DATA_DIR=str(data))
    assert second.ended() == 1
    assert f"another run keeps its data in {data}" in second.output()
    assert "DATA_DIR" in second.output()
    assert is_answering(service.ports[0])


def test_a_directory_that_takes_no_data_is_named_with_its_setting(start: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = start(DATA_DIR=str(tmp_path / "file"))
    assert run.ended() == 1
    assert re.search(rf"^Error: .*{tmp_path / 'file'} .*DATA_DIR", run.output(), re.MULTILINE)


def test_another_host_joins_a_running_service(service: Run, start: Callable[..., Run]) -> None:
    shared = {"MICROSOFT365_PORT": str(service.ports[1]), "AZURITE_PORT": str(service.ports[2])}
    second = start("--only-host", **shared)
    eventually(lambda: is_answering(second.ports[0]))
    second.process.terminate()
    assert second.ended() == 0
    assert is_answering(service.ports[0])


def test_another_host_without_a_running_service_says_what_is_missing(start: Callable[..., Run]) -> None:
    run = start("--only-host")
    assert run.ended() == 1
    assert f"Azurite does not answer on port {run.ports[2]} (AZURITE_PORT)" in run.output()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_status_0_and_all_its_parts_when_told_to(
    start: Callable[..., Run], ending: signal.Signals
) -> None:
    run = start()
    run.wait_until_ready()
    run.process.send_signal(ending)
    assert run.ended() == 0
    assert run.everything_has_ended()


@linux
def test_a_part_that_dies_is_named_and_takes_the_rest_with_it(start: Callable[..., Run]) -> None:
    run = start()
    run.wait_until_ready()
    os.kill(child(run, "local.microsoft365"), signal.SIGKILL)
    assert run.ended() == 1
    assert "microsoft365 ended with status -9" in run.output()
    assert run.everything_has_ended()


@linux
def test_a_kill_leaves_no_part_behind(start: Callable[..., Run]) -> None:
    run = start()
    run.wait_until_ready()
    run.process.kill()
    eventually(run.everything_has_ended)


def test_with_a_real_tenant_the_stand_in_is_not_started(start: Callable[..., Run]) -> None:
    run = start(AZURE_CLIENT_SECRET="of a real tenant")
    run.wait_until_ready()
    assert not is_answering(run.ports[1])
    assert "Mailboxes" not in run.output()
