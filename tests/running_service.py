"""The whole service as `make run` starts it, and the people and programs that use it from outside."""

import base64
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from local.directory import WEB_API_AUDIENCE, find_person
from local.processes import spawn, stop

ROOT = Path(__file__).parents[1]
CONTRACT = ROOT / "tests" / "contract" / "graph-v1.0-slice.json"


class Service:
    """What a seller, a recipient and the outside world can do with a running service."""

    def __init__(self, url: str, world_url: str) -> None:
        self.url, self.world_url = url, world_url
        self.world = httpx.Client(base_url=world_url, timeout=60)
        self.anybody = httpx.Client(timeout=60)

    def token(self, user: str) -> str:
        """Return a bearer token of a user of the local directory."""
        found = find_person(user)
        assert found is not None
        form = {
            "grant_type": "password",
            "username": user,
            "password": "local",
            "client_id": "tests",
            "scope": f"{WEB_API_AUDIENCE}/.default",
        }
        answer = self.world.post(f"/{found[0].id}/oauth2/v2.0/token", data=form).raise_for_status()
        return str(answer.json()["access_token"])

    def seller(self, user: str = "seller@contoso.example", organization: str = "contoso") -> "Seller":
        """Return a user at work in an organization."""
        return Seller(self, organization, user)

    def mailbox(self, address: str) -> list[dict[str, Any]]:
        """Return what arrived at an address, newest first."""
        found = self.world.get(f"/local/mailboxes/{address}/messages").raise_for_status().json()["value"]
        assert isinstance(found, list)
        return found

    def fetch(self, url: str, address: str = "203.0.113.9", agent: str = "outlook", **headers: str) -> httpx.Response:
        """Fetch as a recipient's program at an address does."""
        sent = {**AGENTS[agent], "X-Forwarded-For": address, **headers}
        return self.anybody.get(url, headers=sent)


AGENTS = {
    "outlook": {
        "User-Agent": "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
        "Accept": "*/*",
        "Accept-Language": "en-GB",
    },
    "chrome": {
        "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/146.0.0.0 Safari/537.36",
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Language": "en-GB,en;q=0.9",
    },
    "script": {"User-Agent": "python-requests/2.32.3", "Accept": "*/*"},
}


class Seller:
    """A seller's client of the Web API."""

    def __init__(self, service: Service, organization: str, user: str) -> None:
        self.service = service
        person = find_person(user)
        assert person is not None
        self.id = person[1].id
        self.api = httpx.Client(
            base_url=f"{service.url}/{organization}/api/data/v9.2/",
            headers={"Authorization": f"Bearer {service.token(user)}"},
            timeout=60,
        )

    def create(self, entity_set: str, **columns: Any) -> str:
        """Create a record and return its id."""
        answer = self.api.post(entity_set, json=columns)
        assert answer.status_code == 204, answer.text
        return answer.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")

    def contact(self, address: str, **columns: Any) -> str:
        """Create a contact and return its id."""
        return self.create("contacts", firstname="Ada", lastname="Lovelace", emailaddress1=address, **columns)

    def email(self, body: str, to: list[dict[str, Any]], *, follow: bool = True, **columns: Any) -> str:
        """Create a draft of our own to the parties and return its id."""
        sender = {"partyid_systemuser@odata.bind": f"/systemusers({self.id})", "participationtypemask": 1}
        recipients = [{"participationtypemask": 2, **party} for party in to]
        return self.create(
            "emails",
            **{
                "subject": "Your quote",
                "description": body,
                "followemailuserpreference": follow,
                "email_activity_parties": [sender, *recipients],
                **columns,
            },
        )

    def attach(self, email: str, name: str, data: bytes, **columns: Any) -> str:
        """Attach a file to a draft and return the attachment's id."""
        return self.create(
            "activitymimeattachments",
            **{
                "objectid_email@odata.bind": f"/emails({email})",
                "objecttypecode": "email",
                "filename": name,
                "mimetype": "application/octet-stream",
                "body": base64.b64encode(data).decode(),
                **columns,
            },
        )

    def send(self, email: str, *, wait: bool = True) -> dict[str, Any]:
        """Send a draft and return the email once it is sent or has failed."""
        answer = self.api.post(f"emails({email})/Microsoft.Dynamics.CRM.SendEmail", json={"IssueSend": True})
        assert answer.status_code == 200, answer.text
        if not wait:
            return {}
        return eventually(lambda: self.read(email), lambda found: found["statuscode"] in (3, 8))

    def read(self, email: str) -> dict[str, Any]:
        """Return an email with all its columns but the body."""
        columns = (
            "statuscode,statecode,isemailfollowed,ee_followreason,ee_failurereason,senton,messageid,opencount,lastopenedtime,"
            "linksclickedcount,attachmentopencount,replycount,ee_proxyopencount,ee_machineopencount,ee_machineclickcount"
        )
        found = self.api.get(f"emails({email})", params={"$select": columns}).raise_for_status().json()
        assert isinstance(found, dict)
        return found

    def timeline(self, email: str) -> list[dict[str, Any]]:
        """Return an email's interactions, newest first."""
        query = {"$filter": f"emailactivityid eq {email}"}
        found = self.api.get("interactionforemails", params=query).raise_for_status().json()["value"]
        assert isinstance(found, list)
        return found


def eventually[T](ask: Callable[[], T], done: Callable[[T], object], seconds: float = 60) -> T:
    """Ask until the answer will do; fail with the last answer after `seconds`."""
    end = time.monotonic() + seconds
    while not done(answer := ask()):
        assert time.monotonic() < end, f"it did not happen; the last answer was {answer}"
        time.sleep(0.1)
    return answer


@contextlib.contextmanager
def running_service(directory: Path, first: int) -> Iterator[Service]:
    """Run the whole service on the five ports from `first` on, with its data and its log in `directory`."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED} | {
        "PORT": str(first),
        "MICROSOFT365_PORT": str(first + 1),
        "AZURITE_PORT": str(first + 2),
        "DATA_DIR": str(directory),
        "MICROSOFT365_CONTRACT": str(CONTRACT),
    }
    log = directory / "run.log"
    with log.open("wb") as output:
        process = spawn([sys.executable, "-m", "local.run"], environment=environment, directory=ROOT, output=output)
    try:
        url = f"http://127.0.0.1:{first}"
        eventually(lambda: process.poll() is not None or _is_healthy(url), bool, seconds=120)
        assert process.poll() is None, log.read_text()
        yield Service(url, f"http://127.0.0.1:{first + 1}")
        violations = httpx.get(f"http://127.0.0.1:{first + 1}/local/violations").json()
        assert violations == {"value": []}, "every exchange with Graph kept to its published schema"
    finally:
        stop(process)


_NOT_INHERITED = (
    "AzureWebJobsStorage",
    "BASE_URL",
    "TOKEN_SECRETS",
    "TRUSTED_PROXIES",
    "SPOOL_DIR",
    "MICROSOFT365_URL",
)


def _is_healthy(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    return False
