"""The local Functions host against a sample app: what Azure does to a function, over real HTTP and real queues.

Also the notice that the worker library still has the entry that the host drives.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient

from local import azurite as emulator
from local.functions_host.timers import state_directory
from local.processes import stop
from tests.conftest import free_ports

APP = Path(__file__).parent / "functions_app"
ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 2
MASTER_KEY = "the-master-key"


class Host:
    """A host process on the sample app, with a directory and a queue of its own."""

    def __init__(self, directory: Path, storage: str, app: Path = APP, **settings: str) -> None:
        self.app = app
        self.port = free_ports(1)
        self.storage = storage
        self.notes_file = directory / "notes"
        self.log_file = directory / f"log-{self.port}"
        self.environment = {
            **os.environ,
            "PORT": str(self.port),
            "DATA_DIR": str(directory),
            "NOTES": str(self.notes_file),
            "AzureWebJobsStorage": storage,
            "WORK_QUEUE": "work",
            "EVERY_SECOND": "0 0 0 1 1 *",
            "QUEUE_LEASE_SECONDS": str(LEASE_SECONDS),
            "MASTER_KEY": MASTER_KEY,
            **settings,
        }
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local.functions_host", "--app", str(self.app)],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: self.process.poll() is not None or self.answers())
        assert self.process.poll() is None, self.log()
        return self.process

    def answers(self) -> bool:
        try:
            return self.request("GET", "/o/").status == 200
        except OSError:
            return False

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> "Answer":
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def queue(self, name: str = "") -> QueueClient:
        return QueueClient.from_connection_string(self.storage, name or self.environment["WORK_QUEUE"], retry_total=0)

    def notes(self, name: str) -> list[dict[str, Any]]:
        if not self.notes_file.exists():
            return []
        lines = self.notes_file.read_text().splitlines()
        return [note for note in map(json.loads, lines) if note["name"] == name]

    def log(self) -> str:
        return self.log_file.read_text()


class Answer:
    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def header(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header.lower() == name]

    def json(self) -> Any:
        return json.loads(self.body)


def eventually(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Return the first true answer; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.03)
    return answer


@contextmanager
def running(directory: Path, storage: str, app: Path = APP, **settings: str) -> Iterator[Host]:
    host = Host(directory, storage, app, **settings)
    try:
        yield host
    finally:
        stop(host.process)


@pytest.fixture(scope="module")
def host(azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running(tmp_path_factory.mktemp("host"), azurite) as running_host:
        eventually(lambda: is_there(running_host.queue()))
        yield running_host


def is_there(queue: QueueClient) -> bool:
    try:
        queue.get_queue_properties()
    except ResourceNotFoundError:
        return False
    return True


def texts(queue: QueueClient) -> list[str]:
    return [message.content for message in queue.receive_messages(visibility_timeout=1)]


def is_empty(queue: QueueClient) -> bool:
    """Say whether a queue holds nothing at all, hidden messages included."""
    return queue.get_queue_properties().approximate_message_count == 0


# HTTP


def test_the_first_registered_route_that_matches_wins(host: Host) -> None:
    assert host.request("GET", "/orders/12").body == b"number 12"


def test_a_constraint_that_does_not_hold_passes_on_to_the_next_route(host: Host) -> None:
    assert host.request("GET", "/orders/twelve").body == b"name twelve"


def test_literals_in_routes_ignore_case_and_a_trailing_slash(host: Host) -> None:
    assert host.request("GET", "/ORDERS/12/").body == b"number 12"


@pytest.mark.parametrize("path", ["/o", "/o/", "/o/a/b/c", "/O/x", "/o/%FF%00%2e", "/o//"])
def test_a_catch_all_matches_anything_and_nothing(host: Host, path: str) -> None:
    assert host.request("GET", path).body.startswith(b"GIF89a")


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("/echo", None),
        ("/echo/a/b/", "a/b/"),
        ("/echo/%C3%A9%20x", "é x"),
        ("/echo/a%2Fb", "a%2Fb"),
        ("/echo/%FFx", "%FFx"),
        ("/echo/%2541", "%41"),
        ("/echo/a/../b", "b"),
    ],
)
def test_route_parameters_are_decoded_once_and_keep_encoded_slashes(host: Host, path: str, rest: str | None) -> None:
    assert host.request("GET", path).json()["rest"] == rest


@pytest.mark.parametrize("target", [b"/o/a b", b"/o/\xff", b"/o/\x00", b"o/x", b"/o/" + b"x" * 70_000])
def test_a_request_target_that_is_not_http_is_refused_without_a_word_in_the_log(host: Host, target: bytes) -> None:
    before = host.log()
    with socket.create_connection(("127.0.0.1", host.port), timeout=10) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert host.log() == before


def test_a_method_that_is_not_declared_is_not_found(host: Host) -> None:
    assert host.request("POST", "/orders/12", b"x").status == 404


def test_head_is_answered_where_declared_with_the_length_and_no_body(host: Host) -> None:
    answer = host.request("HEAD", "/o/x")
    assert (answer.status, answer.header("content-length"), answer.body) == (200, ["43"], b"")


def test_head_is_not_found_where_it_is_not_declared(host: Host) -> None:
    assert host.request("HEAD", "/orders/12").status == 404


@pytest.mark.parametrize("path", ["/", "/unknown", "/orders", "/orders/1/2", "/admin/host/status", "/runtime/x"])
def test_what_no_route_matches_is_not_found(host: Host, path: str) -> None:
    assert host.request("GET", path).status == 404


def test_the_peer_is_appended_to_x_forwarded_for_with_its_port(host: Host) -> None:
    headers = host.request("GET", "/echo", headers={"X-Forwarded-For": "203.0.113.9"}).json()["headers"]
    assert re.fullmatch(r"203\.0\.113\.9, 127\.0\.0\.1:\d+", headers["x-forwarded-for"])


def test_repeated_query_parameters_are_joined_and_the_url_is_as_sent(host: Host) -> None:
    seen = host.request("GET", "/echo/x%20y?a=1&b=&a=2+3").json()
    assert seen["query"] == {"a": "1,2 3", "b": ""}
    assert seen["url"] == f"http://127.0.0.1:{host.port}/echo/x%20y?a=1&b=&a=2+3"


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_bodies_arrive_whole(host: Host, size: int) -> None:
    assert host.request("POST", "/echo", b"\xff" * size).json()["size"] == size


def test_a_chunked_body_arrives_whole(host: Host) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    connection.request("POST", "/echo", iter([b"abc", b"defg"]), encode_chunked=True)
    assert json.loads(connection.getresponse().read())["size"] == 7
    connection.close()


def test_a_body_over_a_hundred_megabytes_is_refused(host: Host) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    connection.putrequest("POST", "/echo")
    connection.putheader("Content-Length", str(100 * 1024 * 1024 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_headers_that_are_the_servers_are_sent_once(host: Host) -> None:
    answer = host.request("GET", "/o/x")
    assert answer.header("content-length") == ["43"]
    assert answer.header("server") == []
    assert [value[-3:] for value in answer.header("date")] == ["GMT"]


def test_every_cookie_is_a_header_of_its_own(host: Host) -> None:
    answer = host.request("GET", "/cookies")
    assert (answer.status, answer.body) == (204, b"")
    assert sorted(answer.header("set-cookie")) == ["a=1; HttpOnly; Path=/", "b=2; Max-Age=60; SameSite=Lax"]


def test_a_sync_function_runs_with_its_context(host: Host) -> None:
    answer = host.request("GET", "/sync")
    assert (answer.status, answer.body) == (201, b"in_thread 36")


def test_an_exception_becomes_a_bare_500_and_one_log_entry_that_names_the_invocation(host: Host) -> None:
    answer = host.request("GET", "/broken?secret=query")
    assert (answer.status, answer.body) == (500, b"")
    entry = eventually(lambda: re.search(r"function=broken invocation=\S{36} failed\nTraceback", host.log()))
    assert entry
    assert "a detail that must stay inside" in host.log()
    assert "secret=query" not in host.log()


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/locked", {}, 401),
        ("/locked", {"x-functions-key": "wrong"}, 401),
        ("/locked", {"x-functions-key": MASTER_KEY}, 200),
        (f"/locked?code={MASTER_KEY}", {}, 200),
    ],
)
def test_a_function_with_an_authorization_level_needs_a_key(
    host: Host, path: str, headers: dict[str, str], status: int
) -> None:
    assert host.request("GET", path, headers=headers).status == status


# Queues


def test_a_message_is_handled_once_and_deleted(host: Host) -> None:
    host.queue().send_message('{"id": "<plain> & simple"}')
    note = eventually(lambda: [note for note in host.notes("work") if "plain" in note["text"]])[0]
    assert (note["text"], note["attempt"], note["inserted"]) == ('{"id": "<plain> & simple"}', 1, True)
    eventually(lambda: is_empty(host.queue()))


def test_an_output_list_becomes_messages(host: Host) -> None:
    assert host.request("POST", "/enqueue", b'["out 1", "out 2"]').status == 202
    eventually(lambda: {"out 1", "out 2"} <= {note["text"] for note in host.notes("work")})


def test_a_failed_message_is_tried_again_after_the_visibility_timeout(host: Host) -> None:
    host.queue().send_message("flaky")

    def attempts() -> list[dict[str, Any]]:
        return [note for note in host.notes("work") if note["text"] == "flaky"]

    eventually(lambda: len(attempts()) == 3)
    assert [note["attempt"] for note in attempts()] == [1, 2, 3]
    assert all(later["at"] - earlier["at"] >= 0.9 for earlier, later in zip(attempts(), attempts()[1:], strict=False))


def test_a_message_that_fails_max_dequeue_count_times_goes_to_the_poison_queue(host: Host) -> None:
    host.queue().send_message("fail:always")
    poison = host.queue("work-poison")
    eventually(lambda: is_there(poison) and "fail:always" in texts(poison))
    assert [note["attempt"] for note in host.notes("work") if note["text"] == "fail:always"] == [1, 2, 3]


def test_a_retry_policy_invokes_again_within_one_delivery_and_the_returned_message_is_sent(host: Host) -> None:
    eventually(lambda: is_there(host.queue("copies")))
    host.queue("copies").send_message("letter")
    eventually(lambda: is_there(host.queue("copied")) and texts(host.queue("copied")) == ["copy of letter"])
    assert [(note["attempt"], note["retry"]) for note in host.notes("copy")] == [(1, 0), (1, 1), (1, 2)]


def test_a_lease_is_renewed_while_the_function_runs(host: Host) -> None:
    text = f"sleep:{LEASE_SECONDS * 2}"
    host.queue().send_message(text)
    eventually(lambda: [note for note in host.notes("slept") if note["text"] == text])
    assert len([note for note in host.notes("work") if note["text"] == text]) == 1


def test_a_killed_hosts_message_comes_back_when_its_lease_ends(azurite: str, tmp_path: Path) -> None:
    with running(tmp_path, azurite, WORK_QUEUE="killed") as first:
        eventually(lambda: is_there(first.queue()))
        first.queue().send_message("sleep:600")
        eventually(lambda: first.notes("work"))
        first.process.kill()
        first.process.wait()
        first.start()
        eventually(lambda: len(first.notes("work")) == 2)
        assert [note["attempt"] for note in first.notes("work")] == [1, 2]
        first.process.kill()


def test_a_message_whose_function_never_comes_to_an_end_is_poisoned(azurite: str, tmp_path: Path) -> None:
    queue = QueueClient.from_connection_string(azurite, "deadly")
    queue.create_queue()
    queue.send_message("deadly message")
    for _ in range(3):
        next(iter(queue.receive_messages(visibility_timeout=1)))
        time.sleep(1.1)
    with running(tmp_path, azurite, WORK_QUEUE="deadly") as host:
        eventually(lambda: is_there(host.queue("deadly-poison")) and texts(host.queue("deadly-poison")))
        assert host.notes("work") == []


def test_http_goes_on_while_storage_is_away_and_queues_resume(tmp_path: Path) -> None:
    port = free_ports(3)
    storage = emulator.connection_string(port)
    process = emulator.start(port, tmp_path / "azurite")
    try:
        with running(tmp_path, storage) as host:
            eventually(lambda: is_there(host.queue()))
            host.queue().send_message("before")
            eventually(lambda: len(host.notes("work")) == 1)
            eventually(lambda: is_empty(host.queue()))
            stop(process)
            eventually(lambda: "storage does not answer" in host.log())
            assert host.request("GET", "/o/x").status == 200
            process = emulator.start(port, tmp_path / "azurite")
            eventually(lambda: "storage answers again" in host.log())
            host.queue().send_message("after")
            eventually(lambda: [note["text"] for note in host.notes("work")] == ["before", "after"])
            assert host.log().count("storage does not answer") == 1
    finally:
        stop(process)


def app_with(directory: Path, **changes: Any) -> Path:
    """Return a copy of the sample app with other settings in host.json."""
    app = directory / "app"
    app.mkdir()
    (app / "function_app.py").write_text((APP / "function_app.py").read_text())
    options = json.loads((APP / "host.json").read_text())
    options["extensions"]["queues"].update(changes.pop("queues", {}))
    (app / "host.json").write_text(json.dumps({**options, **changes}))
    return app


def test_with_base64_encoding_messages_are_decoded_and_others_poisoned(azurite: str, tmp_path: Path) -> None:
    app = app_with(tmp_path, queues={"messageEncoding": "base64"})
    with running(tmp_path, azurite, app, WORK_QUEUE="encoded") as host:
        assert host.request("POST", "/enqueue", '["späte Post"]'.encode()).status == 202
        eventually(lambda: [note["text"] for note in host.notes("work")] == ["späte Post"])
        host.queue().send_message("not base64!")
        eventually(lambda: is_there(host.queue("encoded-poison")) and texts(host.queue("encoded-poison")))
        assert len(host.notes("work")) == 1


def test_a_function_that_passes_the_function_timeout_has_failed(azurite: str, tmp_path: Path) -> None:
    app = app_with(tmp_path, functionTimeout="00:00:01", queues={"maxDequeueCount": 1})
    with running(tmp_path, azurite, app, WORK_QUEUE="endless") as host:
        eventually(lambda: is_there(host.queue()))
        host.queue().send_message("sleep:600")
        eventually(lambda: is_there(host.queue("endless-poison")) and texts(host.queue("endless-poison")))
        assert "function=work" in host.log()
        assert "timed out after 0:00:01" in host.log()


# Timers


def test_a_timer_fires_on_the_second_and_never_twice_at_a_time_on_two_hosts(azurite: str, tmp_path: Path) -> None:
    each = "* * * * * *"
    with running(tmp_path, azurite, EVERY_SECOND=each) as host, running(tmp_path, azurite, EVERY_SECOND=each):
        eventually(lambda: len(host.notes("tock")) >= 3)
        notes = sorted(host.notes("tick") + host.notes("tock"), key=lambda note: note["at"])
    names = [note["name"] for note in notes]
    assert names == ["tick", "tock"] * (len(names) // 2) + ["tick"] * (len(names) % 2)
    assert all(note["at"] % 1 < 0.5 for note in notes if note["name"] == "tick")


def test_a_timer_that_runs_on_startup_is_not_past_due_the_first_time(host: Host) -> None:
    eventually(lambda: host.notes("yearly"))
    assert [note["past_due"] for note in host.notes("yearly")] == [False]


def test_a_run_missed_while_no_host_was_up_is_made_up_for_as_past_due(azurite: str, tmp_path: Path) -> None:
    state = state_directory({"DATA_DIR": str(tmp_path), "AzureWebJobsStorage": azurite})
    state.mkdir(parents=True)
    (state / "yearly.json").write_text('{"last": "2020-01-01T00:00:00+00:00"}')
    with running(tmp_path, azurite) as host:
        eventually(lambda: host.notes("yearly"))
        assert [note["past_due"] for note in host.notes("yearly")] == [True]


def test_a_listener_that_cannot_start_is_named_and_keeps_nobody_else_from_it(host: Host) -> None:
    assert "function=unscheduled its listener cannot start: the app setting NOT_SET is not set" in host.log()


# Starting and stopping


def test_on_sigterm_running_invocations_are_finished_and_the_exit_status_is_0(azurite: str, tmp_path: Path) -> None:
    with running(tmp_path, azurite, WORK_QUEUE="stopping") as host:
        eventually(lambda: is_there(host.queue()))
        host.queue().send_message("sleep:1.5")
        eventually(lambda: host.notes("work"))
        connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
        connection.request("GET", "/slow")
        time.sleep(0.2)
        host.process.send_signal(signal.SIGTERM)
        assert connection.getresponse().read() == b"finished"
        connection.close()
        assert host.process.wait(10) == 0
        assert len(host.notes("slept")) == 1
        assert is_empty(host.queue())


def start_and_fail(*arguments: str, **settings: str) -> str:
    command = [sys.executable, "-m", "local.functions_host", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_a_port_that_is_taken_is_named_with_its_setting(host: Host) -> None:
    error = start_and_fail("--app", str(APP), PORT=str(host.port))
    assert f"port {host.port} is not free" in error
    assert "PORT" in error
    assert "Traceback" not in error


def test_an_app_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text("import a_module_that_is_not_there")
    error = start_and_fail("--app", str(tmp_path), PORT=str(free_ports(1)))
    assert "a_module_that_is_not_there" in error


def test_a_host_json_that_is_wrong_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0", "extensions": {"queues": {"batchSize": 99}}}')
    assert "batchSize is 99" in start_and_fail("--app", str(tmp_path), PORT=str(free_ports(1)))
