"""The peer: pytracking behind Flask and gunicorn (2 workers), one PostgreSQL insert and commit per hit.

What a team would write with the best-known open library for this: it answers only after the hit is durable, as we do.
Served as ``benchmarks.peer:create_app()``.
"""

import os
from base64 import b64decode
from typing import Any

import psycopg
import pytracking
from flask import Flask, Response, redirect, request
from pytracking.tracking import TrackingResult

_PIXEL = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_INSERT = "insert into hits (kind, email, target, at, address, agent) values (%s, %s, %s, now(), %s, %s)"


def configuration(base: str = "http://127.0.0.1") -> Any:
    """Return pytracking's configuration, its default encoding: the fastest it has."""
    return pytracking.Configuration(base_open_tracking_url=f"{base}/o/", base_click_tracking_url=f"{base}/c/")


def create_app() -> Flask:
    """Return the tracker; PEER_DATABASE names its database."""
    app = Flask(__name__)
    connections: list[psycopg.Connection[Any]] = []
    tracking = configuration()

    def insert(kind: str, result: TrackingResult) -> None:
        if not connections:
            connections.append(psycopg.connect(os.environ["PEER_DATABASE"], autocommit=True))
        address = request.headers.get("X-Forwarded-For", request.remote_addr)
        values = (kind, result.metadata["email"], result.tracked_url, address, request.headers.get("User-Agent"))
        connections[0].execute(_INSERT, values)

    @app.get("/o/<path:encoded>")
    def pixel(encoded: str) -> Response:
        insert("open", pytracking.get_open_tracking_result(encoded, configuration=tracking))
        return Response(_PIXEL, mimetype="image/gif", headers={"Cache-Control": "no-store"})

    @app.get("/c/<path:encoded>")
    def click(encoded: str) -> Any:
        result = pytracking.get_click_tracking_result(encoded, configuration=tracking)
        insert("click", result)
        return redirect(result.tracked_url)

    return app
