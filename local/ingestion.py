"""A stand-in for Azure Monitor's ingestion endpoint on loopback: it takes what is sent and keeps it."""

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class Ingestion:
    """What was sent to an endpoint: the address, the telemetry items, the requests' paths."""

    port: int
    items: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def connection_string(self) -> str:
        """What ``APPLICATIONINSIGHTS_CONNECTION_STRING`` says of it."""
        key = "00000000-0000-0000-0000-000000000001"
        return f"InstrumentationKey={key};IngestionEndpoint=http://127.0.0.1:{self.port}/"

    def metrics(self, name: str) -> list[dict[str, Any]]:
        """Return the data points of a metric, each with its ``properties``."""
        data = [item["data"]["baseData"] for item in self.items if item["data"]["baseType"] == "MetricData"]
        return [
            {**point, "properties": one.get("properties") or {}}
            for one in data
            for point in one["metrics"]
            if point["name"] == name
        ]

    def lines(self) -> list[dict[str, Any]]:
        """Return the log records, each with ``message``, ``severityLevel`` and ``properties``."""
        return [item["data"]["baseData"] for item in self.items if item["data"]["baseType"] == "MessageData"]


@contextlib.contextmanager
def ingestion() -> Iterator[Ingestion]:
    """Take telemetry until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            items = json.loads(body)
            own.items.extend(items)
            own.paths.append(self.path)
            answer = json.dumps({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    own = Ingestion(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield own
    finally:
        server.shutdown()
        server.server_close()
