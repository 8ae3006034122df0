"""Who sends, judged on what is written: another's change is let in before each write of a sending, and of a change."""

import contextlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from shared.engagement.options import DRAFT, PENDING_SEND, SENDER, TO
from shared.services import composing
from shared.services.caller import Caller
from shared.services.errors import Refused
from shared.services.parties import Party
from shared.services.people import welcome
from shared.services.rights import Denied
from shared.services.sending import send_email
from shared.storage import emails
from shared.storage.organizations import Organization
from tests.breaking import Breaker
from tests.faults.conftest import CALLER, NOW

type Broken = tuple[Breaker, Organization]

ANN = Party(TO, address="ann@x.example")
MANAGER = replace(CALLER, roles=frozenset({"Manager"}), user=str(uuid.uuid4()))
FEW, MANY = (ANN,), tuple(Party(TO, address=f"p{number}@x.example") for number in range(250))


def as_sender(caller: Caller) -> Party:
    return Party(SENDER, "systemuser", caller.user)


async def interleaved(
    breaker: Breaker, work: Awaitable[None], nth: int, meanwhile: Callable[[], Awaitable[None]]
) -> tuple[str, bool]:
    """Do `work`, and `meanwhile` before its `nth` change; return how it ended and whether it came that far."""
    breaker.let_in(nth, meanwhile)
    try:
        await work
    except (Denied, Refused) as error:
        return type(error).__name__, breaker.meanwhile is None
    else:
        return "done", breaker.meanwhile is None


async def a_draft(organization: Organization, *, sender: Party, **columns: bool) -> str:
    return await composing.create_email(
        organization, MANAGER, {"subject": "s", "ownerid": CALLER.user, **columns}, parties=(sender, ANN), now=NOW
    )


@pytest.mark.parametrize("recipients", [FEW, MANY], ids=["few", "many"])
async def test_a_sender_who_is_changed_while_a_seller_sends_is_not_sent_from(
    breaker: Broken, recipients: tuple[Party, ...]
) -> None:
    broken, organization = breaker
    await welcome(organization, MANAGER.user, "Mana", "manager@contoso.example", NOW)
    reached, nth = True, 0
    while reached:
        email = await a_draft(organization, sender=as_sender(CALLER))

        async def change(email: str = email) -> None:
            await composing.change_email(
                organization, MANAGER, email, {}, parties=(as_sender(MANAGER), *recipients), now=NOW
            )

        ended, reached = await interleaved(broken, send_email(organization, email, CALLER, NOW), nth, change)
        partition = await emails.read_partition(organization, email)
        assert partition is not None
        named = [row["partyid"] for row in partition.parties if row["participationtypemask"] == SENDER]
        if reached:
            assert (ended, partition.email["statuscode"], named) == ("Denied", DRAFT, [MANAGER.user])
        else:
            assert (ended, partition.email["statuscode"], named) == ("done", PENDING_SEND, [CALLER.user])
            assert partition.email["_mailbox"] == CALLER.user
        nth += 1
    assert nth > 1


@pytest.mark.parametrize("sender", [MANAGER, CALLER], ids=["another", "own"])
@pytest.mark.parametrize("recipients", [FEW, MANY], ids=["few", "many"])
async def test_a_mail_that_is_sent_while_its_parties_are_changed_is_from_and_to_whom_it_says(
    breaker: Broken, recipients: tuple[Party, ...], sender: Caller
) -> None:
    """An incoming draft takes any sender; a change that has read it as one must not write into a mail on its way."""
    broken, organization = breaker
    await welcome(organization, MANAGER.user, "Mana", "manager@contoso.example", NOW)
    reached, nth = True, 0
    while reached:
        email = await a_draft(organization, sender=as_sender(CALLER), directioncode=False)

        async def turn_and_send(email: str = email) -> None:
            with contextlib.suppress(Denied):
                await composing.change_email(organization, CALLER, email, {"directioncode": True}, now=NOW)
                await send_email(organization, email, CALLER, NOW)

        given = (as_sender(sender), *recipients)
        change = composing.change_email(organization, CALLER, email, {}, parties=given, now=NOW)
        ended, reached = await interleaved(broken, change, nth, turn_and_send)
        partition = await emails.read_partition(organization, email)
        assert partition is not None
        named = [row["partyid"] for row in partition.parties if row["participationtypemask"] == SENDER]
        if partition.email["statuscode"] == PENDING_SEND:
            assert (ended, partition.email["_mailbox"], named) == ("Refused", CALLER.user, [CALLER.user])
            to = [row["addressused"] for row in partition.parties if row["participationtypemask"] == TO]
            assert partition.email["torecipients"] == ";".join(to)[:500]
        nth += 1
    assert nth > 1


@pytest.mark.parametrize("ending", [{"statuscode": 3}, {"statuscode": 4}, {"statecode": 1}], ids=str)
async def test_a_sender_who_is_changed_while_a_seller_marks_is_not_marked_as_who_sent(
    breaker: Broken, ending: dict[str, int]
) -> None:
    broken, organization = breaker
    await welcome(organization, MANAGER.user, "Mana", "manager@contoso.example", NOW)
    email = await a_draft(organization, sender=as_sender(CALLER))

    async def change() -> None:
        await composing.change_email(organization, MANAGER, email, {}, parties=(as_sender(MANAGER), ANN), now=NOW)

    mark = composing.change_email(organization, CALLER, email, ending, now=NOW)
    assert await interleaved(broken, mark, 0, change) == ("Denied", True)
    partition = await emails.read_partition(organization, email)
    assert partition is not None
    assert partition.email["statuscode"] == DRAFT
