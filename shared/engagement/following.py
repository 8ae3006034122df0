"""The follow rule: whether an email's opens, clicks and attachment views may be followed, and why not when not.

Source: the Dynamics 365 Sales product page on email engagement (an email can be followed only if To and Cc hold
accounts, contacts and leads, all of which allow it) and the schema, where ``isemailfollowed`` overrides
``followemailuserpreference``. Bcc is neither followed nor looked at, but for who has withdrawn: a hit does not say
whose it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.engagement.options import CC, TO

FOLLOWABLE = frozenset({"account", "contact", "lead"})

NOT_ASKED = "following was not asked for"
SWITCHED_OFF = "following email is switched off in your organization"
NOBODY = "there is no recipient in To or Cc"
NOT_SENT = "it was closed, not sent from here"
NAMING_NOBODY = frozenset({NOT_ASKED, SWITCHED_OFF, NOBODY, NOT_SENT})
"""Reasons that name no party."""

_KINDS = {"": "an address", "systemuser": "a user", "queue": "a queue"}


@dataclass(frozen=True, slots=True)
class Party:
    """A recipient: `role` is its ``participationtypemask``, `kind` the table of its record ("" where the address has
    none), `name` what a seller knows it by, `allows` its record's ``followemail`` (Allow by default), `consents`
    whether it has granted consent, `withdrew` whether it has denied or withdrawn it, None where that could not be
    looked up."""

    role: int
    kind: str
    name: str
    allows: bool = True
    consents: bool = False
    withdrew: bool | None = False


def why_not_followed(
    *, preference: bool, switched_on: bool, parties: Sequence[Party], prior_consent: bool = False
) -> str | None:
    """Return why an email is not followed, naming the party that stands in the way, or None when it is followed.

    `preference` is ``followemailuserpreference``, `switched_on` the organization's ``isemailmonitoringallowed``,
    `prior_consent` whether it demands consent first. Where several parties stand in the way, one who does not want it
    is named before one who was not asked, and that one before one who is of another kind.

    >>> why_not_followed(preference=True, switched_on=True, parties=[Party(TO, "contact", "Ann", allows=False)])
    'Ann does not allow following'
    """
    if not preference:
        return NOT_ASKED
    if not switched_on:
        return SWITCHED_OFF
    looked_at = [party for party in parties if party.role in (TO, CC)]
    if not looked_at:
        return NOBODY
    for party in looked_at:
        if party.kind in FOLLOWABLE and not party.allows:
            return f"{party.name} does not allow following"
    for party in parties:
        if party.withdrew:
            return f"{party.name} has withdrawn from following"
        if party.withdrew is None:
            return f"whether {party.name} allows following could not be looked up"
    for party in looked_at:
        if prior_consent and party.kind in FOLLOWABLE and not party.consents:
            return f"{party.name} has not consented to following"
    for party in looked_at:
        if party.kind not in FOLLOWABLE:
            return (
                f"{party.name} is {_KINDS.get(party.kind, 'another kind of record')}, not an account, contact or lead"
            )
    return None
