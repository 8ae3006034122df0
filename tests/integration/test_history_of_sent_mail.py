"""The history of a mail that was written, sent, delivered, read and folded."""

from datetime import timedelta
from typing import Any

from shared.engagement.clocks import Clock
from shared.engagement.history import tell_history
from shared.engagement.hits import Kind
from shared.engagement.times import parse_iso
from shared.services import folding
from shared.services.attaching import Attachment
from shared.services.parties import Party
from shared.storage import emails
from tests.delivery_world import PNG, World, cc
from tests.journalled_hits import CHROME, SENT, a_hit, journalled
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world

__all__ = ["standin", "world"]

pytestmark = IGNORED_WARNINGS

PRICES = Attachment("Prices.pdf", "application/pdf", b"%PDF-1.7 prices")
TERMS = Attachment("Terms.pdf", "application/pdf", b"%PDF-1.7 terms")
LOGO = Attachment("logo.png", "image/png", PNG, content_id="logo@contoso")
BODY = (
    '<p><img src="cid:logo@contoso"><a href="https://contoso.example/offer">our offer</a> '
    '<a href="mailto:seller@contoso.example">write</a></p>'
)
UTC = Clock("UTC", is_own=True)


async def history(world: World, *to: Party, hits: Any = (), **columns: Any) -> dict[str, Any]:
    """Return the history of a mail, an hour after the last of `hits` (kind, item, seconds after it was sent)."""
    email = await world.write(*to, body=BODY, attachments=[PRICES, TERMS, LOGO], followed=["Prices.pdf"], **columns)
    await world.send(email)
    assert await world.deliver(email) == []
    sent = parse_iso((await world.partition(email)).email["senton"])
    start, now = (sent - SENT).total_seconds(), sent + timedelta(hours=2)
    rows = [a_hit(email, start + after, kind=kind, item=item, headers=CHROME) for kind, item, after in hits]
    for partition in await journalled(world.organization, *rows):
        await folding.fold_partition(world.organization.name, partition, now)
    found = await emails.read_partition(world.organization, email, interactions=True)
    assert found is not None
    return tell_history(found, now, UTC)


async def test_links_and_files_are_those_that_were_sent(world: World) -> None:
    hits = [(Kind.LINK, 0, 3600), (Kind.ATTACHMENT, 0, 3700), (Kind.OPEN, 0, 3500)]
    told = await history(world, await world.contact("Ann"), hits=hits)
    assert [event["TypeText"] for event in told["Interactions"]] == [
        "Opened a file",
        "Clicked a link",
        "Opened the mail",
    ]
    assert {event["Who"] for event in told["Interactions"]} == {"Ann"}
    assert told["Interactions"][1]["LinkText"] == "our offer"
    offer, write = told["Links"]
    assert (offer["Target"], offer["Clicks"], offer["IsFollowed"]) == ("https://contoso.example/offer", 1, True)
    assert (write["Target"], write["IsFollowed"]) == ("mailto:seller@contoso.example", False)
    assert write["NotFollowedReason"]
    assert [(file["FileName"], file["IsFollowed"], file["Opens"]) for file in told["Attachments"]] == [
        ("Prices.pdf", True, 1),
        ("Terms.pdf", False, 0),
    ]


async def test_among_several_recipients_a_hit_is_nobodys(world: World) -> None:
    told = await history(world, await world.contact("Ann"), cc(await world.contact("Bob")), hits=[(Kind.OPEN, 0, 3600)])
    [event] = told["Interactions"]
    assert (event["Who"], event["Address"]) == (None, None)


async def test_mail_to_somebody_who_does_not_allow_following_says_so(world: World) -> None:
    told = await history(world, await world.contact("Ann", followemail=False))
    assert not told["IsFollowed"]
    assert "Ann" in told["FollowReason"]
    assert [told["Interactions"], told["Links"], told["Attachments"]] == [[], [], []]
