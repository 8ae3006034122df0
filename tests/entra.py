"""An issuer of Entra-shaped tokens over real HTTP, with a key of its own."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

AUDIENCE = "api://email-engagement"


@dataclass
class Issuer:
    """`url` is its authority; `requests` are the paths that were asked for; `status` is what it answers with."""

    url: str = ""
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    key_id: str = "key-1"
    requests: list[str] = field(default_factory=list)
    status: int = 200

    def jwks(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": self.key_id, "use": "sig"}]}

    def token(self, tenant: str, user: str, *, roles: list[str] | None = None, **claims: Any) -> str:
        """Return a user's v2 access token that is valid for an hour, changed by `claims`; None leaves a claim out."""
        now = int(time.time())
        said = {
            "iss": f"{self.url}/{tenant}/v2.0",
            "aud": AUDIENCE,
            "tid": tenant,
            "oid": user,
            "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
            "azp": "22222222-0000-4000-8000-000000000002",
            "azpacr": "0",
            "scp": "user_impersonation",
            "name": "Sella Seller",
            "preferred_username": "seller@contoso.example",
            "roles": ["Seller"] if roles is None else roles,
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "ver": "2.0",
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, self.key, "RS256", headers={"kid": self.key_id})


@contextmanager
def issuing() -> Iterator[Issuer]:
    """Serve an issuer's keys on a free loopback port."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests.append(self.path)
            body = json.dumps(issuer.jwks()).encode() if issuer.status == 200 else b""
            self.send_response(issuer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
