"""While a process is sent everything that could keep it busy, recipients are answered and their hits recorded.

How long they wait is measured by `python -m benchmarks hostile`; what is asserted here is that every hostile request
gets an answer that says what is wrong with it, or what it asked for, and that no hit is lost or refused meanwhile.
"""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.hostile import BODIES, FAMILIES, MESSAGES, Ground, Kind, prepare, recipients
from tests.running_service import Service, eventually

LISTED = [pytest.param(kinds, id=family) for family, kinds in FAMILIES.items()]


@pytest.fixture(scope="module")
def ground(service: Service) -> Iterator[Ground]:
    yield prepare(service)


def links(ground: Ground) -> list[str]:
    """Return the pixel and the link of the mail that arrived."""
    html = ground.message["body"]["content"]
    return re.findall(rf'(?:src|href)="({re.escape(ground.service.url)}/[oc]/[^"]+)"', html)


def recorded(ground: Ground) -> int:
    """Return how many hits on that mail are in its timeline; replies and reports are no hits."""
    query = f"emailactivityid eq {ground.email} and interactiontype ne 3"
    found = ground.seller.api.get("interactionforemails/$count", params={"$filter": query}).raise_for_status()
    return int(found.text)


def complaint(kind: Kind, answer: httpx.Response) -> str:
    """Return what is wrong with the answer to a hostile request, "" where nothing is."""
    if answer.status_code >= 500:
        return f"{kind.name}: {answer.status_code} {answer.text[:300]}"
    if not kind.refused:
        return ""
    if not 400 <= answer.status_code < 500:
        return f"{kind.name}: {answer.status_code}, and it should be refused"
    if answer.headers.get("content-type", "").startswith("application/json"):
        said = answer.json()["error"]["message"]
        # Long enough to name what is wrong, and nothing that was sent comes back at its own length.
        return "" if 10 < len(said) < 2_000 else f"{kind.name}: {said[:300]} ({len(said)} characters)"
    return ""


@pytest.mark.parametrize("kinds", LISTED)
def test_hostile_requests_are_answered_and_recipients_beside_them_too(ground: Ground, kinds: list[Kind]) -> None:
    before = recorded(ground)
    with recipients(links(ground)) as asked:
        wrong = [complaint(kind, kind.send(ground)) for kind in kinds]
    assert asked.hits, "somebody asked meanwhile"
    # First of all, so that no hit of this family is counted for the next.
    eventually(lambda: recorded(ground) - before, lambda found: found >= asked.hits, seconds=120)
    assert recorded(ground) - before == asked.hits, "each once"
    assert asked.wrong == []
    assert [said for said in wrong if said] == []


def test_mail_with_a_hostile_body_leaves_or_says_why_it_cannot(ground: Ground) -> None:
    def waiting() -> list[str]:
        query = "(statuscode eq 6 or statuscode eq 7) and subject eq 'A hostile body'"
        found = ground.seller.api.get("emails", params={"$filter": query, "$select": "subject"}).raise_for_status()
        return [row["activityid"] for row in found.json()["value"]]

    before = len(ground.service.mailbox(ground.address))
    for kind in BODIES:
        kind.send(ground)
    eventually(waiting, lambda found: not found, seconds=240)
    assert len(ground.service.mailbox(ground.address)) > before


def test_hostile_messages_hold_up_no_reply(ground: Ground) -> None:
    for kind in MESSAGES:
        kind.send(ground)
    email = ground.seller.email("<p>Well?</p>", [{"partyid_contact@odata.bind": f"/contacts({ground.contact})"}])
    ground.seller.send(email)
    arrived = next(one for one in ground.service.mailbox(ground.address) if "Well?" in one["body"]["content"])
    answer = {"messageId": arrived["id"], "body": "Yes!"}
    ground.service.world.post(f"/local/mailboxes/{ground.address}/reply", json=answer).raise_for_status()
    eventually(lambda: ground.seller.read(email), lambda found: found["replycount"] == 1, seconds=240)
