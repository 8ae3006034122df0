"""Deleting a template: the mail made of it stays and forgets it (Dataverse's RemoveLink)."""

from datetime import timedelta

from shared.storage import emails, lists, queues, records
from shared.storage.calls import side_by_side
from shared.storage.contention import insist
from shared.storage.organizations import Organization, find_organization

_DELAY = timedelta(seconds=30)
"""Longer than a deletion takes: storage is given up after ten seconds."""


async def announce_deletion(organization: Organization, template: str) -> None:
    """Say, before a template is deleted, that mail may have to forget it. Said before, it cannot be lost in between;
    where the template is still there when the message is read, nothing is to do."""
    await queues.send(queues.UNLINK, {"organization": organization.name, "template": template}, _DELAY)


async def unlink(organization_name: str, template: str) -> None:
    """Clear ``templateid`` on all mail that names a template which is gone. Begun again after a failure, it goes on
    with the mail that is left."""
    organization = await find_organization(organization_name)
    if organization is None or await records.get(organization, "template", template) is not None:
        return
    where = lists.partition("template", "createdon", template)
    async for keys in lists.walk(organization, where, "createdon", page_size=500):
        await side_by_side(lambda email: _forget(organization, email, template), [lists.id_of(key) for key in keys])


async def _forget(organization: Organization, id: str, template: str) -> None:
    async def attempt() -> None:
        email = await emails.get_email(organization, id)
        if email is not None and email.get("templateid") == template:
            await emails.commit(organization, email, {"templateid": None})

    await insist(attempt)
