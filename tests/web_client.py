"""A client of the Web API that speaks to `shared.webapi.service` as the host does, with real tokens."""

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.storage.organizations import Organization
from shared.webapi.http import Request, Response
from shared.webapi.service import handle
from tests.entra import Issuer


@dataclass
class Answer:
    """A response with its body as JSON."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return list(self.json["value"])

    @property
    def error(self) -> str:
        return str(self.json["error"]["message"])

    @property
    def id(self) -> str:
        match = re.search(r"\(([0-9a-f-]{36})\)$", self.headers["OData-EntityId"])
        assert match is not None
        return match[1]


@dataclass
class Client:
    """A person of an organization, signed in."""

    organization: Organization
    issuer: Issuer
    user: str = field(default_factory=lambda: str(uuid.uuid4()))
    roles: tuple[str, ...] = ("Seller",)
    host: str = "mail.example.com"

    @property
    def base(self) -> str:
        return f"https://{self.host}/{self.organization.name}/api/data/v9.2"

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        now: datetime | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request; `path` is under the Web API's root or absolute, a body that is not bytes is sent as JSON."""
        sent = {
            "Host": self.host,
            "X-Forwarded-Proto": "https",
            "Authorization": f"Bearer {self.issuer.token(self.organization.tenant, self.user, roles=list(self.roles))}",
            "Content-Type": "application/json",
            **(headers or {}),
        }
        url = path if path.startswith("https:") else f"{self.base}/{path}"
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        response: Response = await handle(Request(method, url, sent, data), now)
        return Answer(response.status, dict(response.headers), response.body)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.send("GET", path, **options)

    async def post(self, path: str, body: Any, **options: Any) -> Answer:
        return await self.send("POST", path, body, **options)

    async def patch(self, path: str, body: Any, **options: Any) -> Answer:
        return await self.send("PATCH", path, body, **options)

    async def make(self, path: str, body: Any) -> str:
        """Create a row and return its id."""
        answer = await self.post(path, body)
        assert answer.status == 204, answer.body
        return answer.id
