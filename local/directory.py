"""The tenants and people that a local run knows: the directory behind the stand-in and the seeded organizations."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """A user of a tenant: Entra object id, sign-in name (also the mail address), display name and app roles."""

    id: str
    address: str
    name: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Tenant:
    """An Entra tenant and the organization that is seeded for it."""

    id: str
    organization: str
    people: tuple[Person, ...]


TENANTS = (
    Tenant(
        id="c0170500-0000-4000-8000-000000000001",
        organization="contoso",
        people=(
            Person("c0170500-0000-4000-8000-000000000011", "seller@contoso.example", "Sella Seller", ("Seller",)),
            Person("c0170500-0000-4000-8000-000000000012", "manager@contoso.example", "Mana Manager", ("Manager",)),
            Person("c0170500-0000-4000-8000-000000000013", "admin@contoso.example", "Addy Admin", ("Administrator",)),
        ),
    ),
    Tenant(
        id="fab21ca0-0000-4000-8000-000000000001",
        organization="fabrikam",
        people=(
            Person("fab21ca0-0000-4000-8000-000000000011", "seller@fabrikam.example", "Fay Seller", ("Seller",)),
            Person("fab21ca0-0000-4000-8000-000000000013", "admin@fabrikam.example", "Abe Admin", ("Administrator",)),
        ),
    ),
)

WEB_API_AUDIENCE = "api://email-engagement"
"""The application ID URI of the Web API in local runs."""


def find_person(address: str) -> tuple[Tenant, Person] | None:
    """Return the tenant and person with this address (any case), or None."""
    wanted = address.casefold()
    for tenant in TENANTS:
        for person in tenant.people:
            if person.address == wanted:
                return tenant, person
    return None
