"""Organizations full of emails, for a benchmark: in storage that is in memory, asked through the Web API in process."""

import asyncio
import base64
import contextlib
import json
import os
import random
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local import azurite
from local.processes import is_port_free, stop
from shared.engagement.options import SENT, STATE_OF_STATUS
from shared.engagement.times import iso_seconds, milliseconds
from shared.settings import settings
from shared.storage import emails, lists
from shared.storage.account import account_of, host_account
from shared.storage.organizations import Organization, forget_organizations
from shared.storage.provisioning import provision_organization
from shared.storage.tables import MAX_OPERATIONS, Entity, Operation, literal
from shared.webapi.auth import forget_keys
from shared.webapi.http import Request, Response
from shared.webapi.service import handle
from tests.entra import AUDIENCE, Issuer, issuing

OWNERS = 5
CONTACTS = 10
TEMPLATES = tuple(str(uuid.UUID(int=number)) for number in range(1, 51))
PLAIN = "plain"
"""The organization whose own storage account is an Azurite as it is."""

_INDEX = Path(__file__).parent / "azurite_index.cjs"
_HOST = "mail.example.com"
_FILLED_AT_ONCE = 1_000
_CALLS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Seller:
    """A person who is signed in to an organization for an hour."""

    organization: Organization
    id: str
    token: str

    async def ask(self, method: str, path: str, body: Any = None) -> Response:
        """Return the Web API's answer; raise RuntimeError where it refuses. `path` is under its root."""
        headers = {"Host": _HOST, "Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        url = f"https://{_HOST}/{self.organization.name}/api/data/v9.2/{path}"
        answer = await handle(Request(method, url, headers, b"" if body is None else json.dumps(body).encode()))
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} was answered {answer.status}: {answer.body[:500].decode()}")
        return answer

    async def make(self, path: str, body: Any) -> str:
        """Create a row and return its id."""
        return (await self.ask("POST", path, body)).headers["OData-EntityId"].rpartition("(")[2][:-1]


@dataclass(frozen=True, slots=True)
class Filled:
    """A full organization: a seller of it, who owns every `OWNERS`-th email, and a contact whom some emails regard."""

    seller: Seller
    contact: str


@contextlib.contextmanager
def deployment() -> Iterator[Issuer]:
    """Run storage and an issuer of tokens, and have this process's settings name them until the block ends.

    Storage is an Azurite with the order that Azure has (azurite_index.cjs), but for the organization `PLAIN`.
    """
    port = next(port for port in range(7600, 9000, 10) if all(is_port_free(port + n) for n in range(6)))
    before = dict(os.environ)
    with contextlib.ExitStack() as stack:
        stack.callback(_restore, before)
        issuer = stack.enter_context(issuing())
        spool = stack.enter_context(tempfile.TemporaryDirectory(prefix="email-engagement-bench-"))
        os.environ |= {
            "AzureWebJobsStorage": azurite.connection_string(port),
            f"STORAGE_{PLAIN.upper()}": azurite.connection_string(port + 3),
            "BASE_URL": f"https://{_HOST}",
            "TOKEN_SECRETS": "1:" + base64.b64encode(b"a secret of the benchmarks, 32 bytes").decode(),
            "WEB_API_AUDIENCE": AUDIENCE,
            "MICROSOFT365_URL": issuer.url,
            "SPOOL_DIR": spool,
        }
        stack.callback(stop, azurite.start(port, None, _INDEX))
        stack.callback(stop, azurite.start(port + 3, None))
        _forget_settings()
        yield issuer


async def fill(issuer: Issuer, name: str, count: int) -> Filled:
    """Make an organization with `count` emails that are like one that the Web API made, but sent."""
    organization = Organization(name, str(uuid.uuid4()), str(uuid.uuid4()))
    await provision_organization(organization)
    owners = [str(uuid.uuid4()) for _ in range(OWNERS)]
    seller = Seller(organization, owners[0], issuer.token(organization.tenant, owners[0]))
    person = {"lastname": "Turing", "emailaddress1": "alan@example.com"}
    contacts = [await seller.make("contacts", person) for _ in range(CONTACTS)]
    made = await seller.make("emails", draft(contacts[0]))
    model = await organization.tables.query_all(organization.emails, f"PartitionKey eq {literal(made)}")
    chance = random.Random(1)
    differences = (_difference(chance, number, owners, contacts) for number in range(1, count))
    await _write(organization, model, differences)
    return Filled(seller, contacts[0])


def draft(contact: str) -> dict[str, Any]:
    """Return the body of a request that creates an email to a contact and about it."""
    bound = f"/contacts({contact})"
    return {
        "subject": "Your quote",
        "regardingobjectid_contact_email@odata.bind": bound,
        "email_activity_parties": [{"partyid_contact@odata.bind": bound, "participationtypemask": 2}],
    }


async def _write(organization: Organization, model: Sequence[Entity], differences: Iterator[dict[str, Any]]) -> None:
    """Write emails, each like `model` with one of `differences`; index rows in transactions as full as can be."""
    waiting: dict[str, list[Operation]] = {}
    limit = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def write(table: str, operations: Sequence[Operation]) -> None:
        async with limit:
            await organization.tables.transact(table, operations)

    written = 0
    while more := [difference for _, difference in zip(range(_FILLED_AT_ONCE), differences, strict=False)]:
        async with asyncio.TaskGroup() as writes:
            for difference in more:
                rows, index = _like(model, difference)
                writes.create_task(write(organization.emails, rows))
                for row in index:
                    partition = row["PartitionKey"]
                    waiting.setdefault(partition, []).append(Operation("put", row))
                    if len(waiting[partition]) == MAX_OPERATIONS:
                        writes.create_task(write(organization.lists, waiting.pop(partition)))
        written += len(more)
        print(f"{written:,} emails written to {organization.name}", file=sys.stderr, flush=True)
    await asyncio.gather(*(write(organization.lists, operations) for operations in waiting.values()))


def _difference(chance: random.Random, number: int, owners: Sequence[str], contacts: Sequence[str]) -> dict[str, Any]:
    """Return what an email is unlike its model in; a lower `number` is newer. Four in five are followed."""
    sent = milliseconds(datetime.now(UTC) - timedelta(minutes=3 * number))
    opens = chance.choice((0, 0, 1, 1, 2, 3, 5, 8))
    opened = (sent + chance.randrange(72 * 3_600_000)) // 900_000
    return {
        "statuscode": SENT,
        "statecode": STATE_OF_STATUS[SENT],
        "ownerid": owners[number % OWNERS],
        "regardingobjectid": chance.choice(contacts),
        "isemailfollowed": number % 5 != 1,
        "createdon": iso_seconds(sent - chance.randrange(3_600_000)),
        "senton": iso_seconds(sent),
        "lastopenedtime": iso_seconds(opened * 900_000) if opens else None,
        "opencount": opens,
        "templateid": chance.choice(TEMPLATES),
        "_figures": 1,
        "_counted": f'{{"opens":{{"{opened}":{opens}}}}}' if opens else None,
        "linksclickedcount": chance.randrange(4) if opens else 0,
        "attachmentopencount": chance.randrange(3) if opens else 0,
        "replycount": chance.randrange(2),
    }


def _like(model: Sequence[Entity], difference: Mapping[str, Any]) -> tuple[list[Operation], tuple[Entity, ...]]:
    """Return the rows of a new email that is like `model` with a `difference`, and its index rows."""
    old, new = model[0]["PartitionKey"], str(uuid.uuid4())
    rows = [{name: new if value == old else value for name, value in row.items()} for row in model]
    email = next(row for row in rows if row["RowKey"] == emails.EMAIL)
    email |= {**difference, "_lists": None}
    listing = lists.plan(email)
    email["_lists"] = listing.names
    return [Operation("put", row) for row in rows], listing.added


def _restore(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ |= environment
    _forget_settings()


def _forget_settings() -> None:
    settings.cache_clear()
    host_account.cache_clear()
    account_of.cache_clear()
    forget_organizations()
    forget_keys()
