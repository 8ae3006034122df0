"""Print a bearer token for the Web API, issued by the running Microsoft 365 stand-in, and nothing else.

`python -m local.token` with, in the environment: USER (an address; default seller@contoso.example, and a value without
`@`, as shells set it, counts as none), EXPIRES_IN (seconds; negative for an expired token), ROLES (app roles, a comma
list; set but empty for none), MICROSOFT365_PORT (7072).
"""

import json
import os
import sys
from collections.abc import Mapping
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from local.directory import TENANTS, WEB_API_AUDIENCE, find_person


def request_token(environment: Mapping[str, str]) -> str:
    """Return a token as the environment asks for; raise ValueError or OSError saying what to do when there is none."""
    user = environment.get("USER", "")
    user = user if "@" in user else "seller@contoso.example"
    found = find_person(user)
    if found is None:
        known = ", ".join(person.address for tenant in TENANTS for person in tenant.people)
        raise ValueError(f"{user} is not in the directory; known users: {known}")
    form = {
        "grant_type": "password",
        "client_id": "local-token",
        "username": user,
        "password": "any",
        "scope": f"{WEB_API_AUDIENCE}/.default",
        "expires_in": environment.get("EXPIRES_IN", ""),
    }
    if "ROLES" in environment:
        form["roles"] = environment["ROLES"]
    port = environment.get("MICROSOFT365_PORT") or "7072"
    address = f"http://127.0.0.1:{port}/{found[0].id}/oauth2/v2.0/token"
    try:
        with urlopen(address, urlencode(form).encode(), timeout=10) as answer:
            token: str = json.load(answer)["access_token"]
            return token
    except HTTPError as error:
        raise ValueError(json.load(error).get("error_description", f"HTTP {error.code}")) from error
    except URLError as error:
        raise ConnectionError(
            f"the Microsoft 365 stand-in does not answer on port {port} ({error.reason}); start it with `make run`"
        ) from error


def main() -> None:
    """Print the token, or the reason on stderr with exit status 1."""
    try:
        print(request_token(os.environ))
    except (ValueError, OSError) as error:
        sys.exit(f"No token: {error}")


if __name__ == "__main__":
    main()
