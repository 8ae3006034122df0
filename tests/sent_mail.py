"""A sent, followed mail put into storage as delivery leaves it, and its timeline counted as anybody would."""

import uuid
from datetime import UTC, datetime, timedelta

import orjson

from shared.engagement.times import iso_seconds, milliseconds
from shared.engagement.tokens import Token, TokenKind, mint
from shared.settings import settings
from shared.storage.tables import Operation

TARGET = "https://example.com/"


async def put_sent_email(organization, sent=None, links=2, owner="", subject="Your quote", file=""):
    """Write a followed mail to Ada, with a followed file where one is named, and return its id."""
    email_id = str(uuid.uuid4())
    sent = sent or datetime.now(UTC) - timedelta(hours=1)
    rows = [
        {
            "RowKey": "email",
            "activityid": email_id,
            "subject": subject,
            "statecode": 1,
            "statuscode": 3,
            "isemailfollowed": True,
            "senton": iso_seconds(milliseconds(sent)),
            "ownerid": owner or str(uuid.uuid4()),
        },
        {"RowKey": "party:000", "participationtypemask": 2, "_name": "Ada Lovelace", "addressused": "ada@example.com"},
        *([{"RowKey": "attachment:1", "filename": file, "_item": 0}] if file else ()),
        *({"RowKey": f"link:{n:04d}", "item": n, "target": f"{TARGET}{n}", "text": f"Link {n}"} for n in range(links)),
    ]
    await organization.tables.transact(
        organization.emails, [Operation("insert", {**row, "PartitionKey": email_id}) for row in rows]
    )
    return email_id


def path_of(organization, kind, email_id, item=0, target="", key=1):
    """Return the path that a recipient asks for, signed with the secret `key`."""
    secrets = settings().token_secrets
    token = Token(key, organization.name, kind, uuid.UUID(email_id), item, 0, target)
    return f"/{TokenKind(kind).route}/{mint(token, secrets)}"


def recount(partition):
    """Count a timeline from its rows alone; a flood's row counts as many as it says."""
    own = [row for row in partition.interactions if not row.get("ee_duplicateof") and "_flood" not in row]
    floods = [orjson.loads(row["_flood"])["kinds"] for row in partition.interactions if "_flood" in row]

    def counted(kinds):
        return sum(n for flood in floods for kind, n in flood.items() if int(kind) in kinds)

    def number(kinds, label):
        return sum(row["interactiontype"] in kinds and row["ee_label"] == label for row in own)

    return {
        "opencount": number({0}, 0),
        "linksclickedcount": number({1}, 0),
        "attachmentopencount": number({2}, 0),
        "ee_proxyopencount": number({0}, 1),
        "ee_machineopencount": number({0}, 2) + counted({0, 3}),
        "ee_machineclickcount": number({1, 2}, 2) + counted({1, 2}),
    }


def counters(partition):
    """Return the counters of an email's row, those that `recount` gives."""
    return {name: partition.email[name] for name in recount(partition)}
