"""Consent of a person to being followed, with the proof of it: when, how, and the wording that they were shown.

Sources: GDPR article 7 (the controller demonstrates consent; withdrawing is as easy as giving), Garante 284/2026 and
the CNIL's recommendation of 12 March 2026 (an identifying pixel needs prior consent). ``followemail`` is Dataverse's.
"""

from collections.abc import Mapping
from typing import Any

UNKNOWN, GRANTED, DENIED, WITHDRAWN = range(4)
"""``ee_consent``"""
OPT_OUT, PRIOR = range(2)
"""``ee_consentmode`` of an organization."""

STATE, ON, METHOD, WORDING = COLUMNS = ("ee_consent", "ee_consentedon", "ee_consentmethod", "ee_consentwording")
"""The columns of a record: the state, and the proof of it."""
FOLLOW = "followemail"


def allows(record: Mapping[str, Any], *, prior: bool) -> bool:
    """Return whether a record allows following; `prior` where the organization demands consent first.

    >>> allows({}, prior=False), allows({}, prior=True), allows({"ee_consent": WITHDRAWN}, prior=False)
    (True, False, False)
    """
    state = record.get(STATE) or UNKNOWN
    if record.get(FOLLOW) is False or state in (DENIED, WITHDRAWN):
        return False
    return state == GRANTED or not prior


def complete(changes: Mapping[str, Any], old: Mapping[str, Any], now: str) -> dict[str, Any]:
    """Return a record's changes completed by what follows from a change of consent; `now` is ISO, to the second.

    Another state has a proof of its own: what is not given with it is not taken over from the earlier one, and without
    a time it is of now. Granting needs how and the wording. Denial and withdrawal set ``followemail`` to false, so that
    clients of Dataverse see them; granting sets it to true unless the change says otherwise.

    Raises ValueError naming the column that is missing or wrong.
    """
    new = dict(changes)
    if not is_change(new, old):
        return new
    state = new.get(STATE, old.get(STATE)) or UNKNOWN
    if state != (old.get(STATE) or UNKNOWN):
        new = {**dict.fromkeys(COLUMNS), ON: None if state == UNKNOWN else now, **_given(new), STATE: state}
    told = {**old, **new}
    if state == UNKNOWN and any(told.get(name) for name in (ON, METHOD, WORDING)):
        raise ValueError(f"'{STATE}' is unknown, so that there is nothing to prove: give it along with its proof.")
    if state != UNKNOWN and not told.get(ON):
        raise ValueError(f"'{ON}' cannot be null while '{STATE}' is known: it says since when.")
    if state != UNKNOWN and told[ON] > now:
        raise ValueError(f"'{ON}' {told[ON]} is in the future: give the time at which they said so.")
    if state == GRANTED:
        missing = next((name for name in (METHOD, WORDING) if not str(told.get(name) or "").strip()), None)
        if missing:
            raise ValueError(f"'{missing}' is needed to grant consent: without how and the wording it is no proof.")
        return {FOLLOW: True, **new} if told.get(STATE) != old.get(STATE) else new
    return new if state == UNKNOWN else {**new, FOLLOW: False}


def is_change(changes: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Return whether changes touch a record's consent; clients send rows back as they read them."""
    return any(name in changes and (changes[name] or None) != (old.get(name) or None) for name in COLUMNS)


def proof(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's consent with its proof, as the history keeps it."""
    return {STATE: record.get(STATE) or UNKNOWN, **{name: record.get(name) for name in COLUMNS[1:]}}


def _given(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if name != ON or value}
