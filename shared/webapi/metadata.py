"""What the service says about itself: the service document."""

from collections.abc import Mapping

from shared.webapi.http import JSON, Response, json_body
from shared.webapi.tables import TABLES


def answer(base: str, name: str, key: str | None, rest: tuple[str, ...], options: Mapping[str, str]) -> Response | None:
    """Return the description that a path names, or None where it names none. `name` and `key` are the first segment's,
    `rest` the segments after it."""
    if name == "" and key is None and not rest and not options:
        return _json(_service_document(base))
    return None


def _service_document(base: str) -> dict[str, object]:
    sets = [{"name": table.set, "kind": "EntitySet", "url": table.set} for table in TABLES.values()]
    return {"@odata.context": f"{base}/$metadata", "value": sets}


def _json(value: object) -> Response:
    return Response(200, {"Content-Type": JSON}, json_body(value))
