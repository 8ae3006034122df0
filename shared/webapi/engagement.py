"""Operations that answer what came of mail: the history of one, and the figures of a record."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from shared.engagement.clocks import Clock
from shared.engagement.figures import COUNTS
from shared.engagement.series import Counts, Period, by_day, by_hour_of_week, period_of, total
from shared.engagement.zones import complaint
from shared.webapi.context import Context
from shared.webapi.entities import named_record
from shared.webapi.errors import bad_payload, does_not_exist
from shared.webapi.operations import demand_parameters
from shared.webapi.values import format_time, parse_time

MAX_DAYS = 731
"""Days of a series: two years."""
DEFAULT_DAYS = 90

_TARGETS = ("contact", "account", "lead", "systemuser", "organization")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""What comes later is as good: clients write 9999-12-31 for no end, which is beyond a calendar in some zones."""


async def get_email_history(context: Context, id: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """ee_GetEmailHistory: what became of an email, for a page to show."""
    from shared.engagement.history import tell_history
    from shared.storage.emails import read_partition

    clock = await _clock(context, sent, "ee_GetEmailHistory")
    found = await read_partition(context.organization, id, interactions=True)
    if found is None:
        raise does_not_exist("email", id)
    # In a thread: ten thousand interactions take a tenth of a second, and recipients are served here too.
    history = await asyncio.to_thread(tell_history, found, context.now, clock)
    newest_first = "$orderby=emailinteractiontime desc"
    everything = f"{context.base}/interactionforemails?$filter=emailactivityid eq {id}&{newest_first}"
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.ee_GetEmailHistoryResponse",
        **history,
        "AllInteractions": everything.replace(" ", "%20"),
    }


async def get_aggregate_counts(context: Context, sent: Mapping[str, Any]) -> dict[str, Any]:
    """GetEmailEngagementAggregateCounts: how many mails, opens, clicks and replies a record has in a period."""
    name = "GetEmailEngagementAggregateCounts"
    demand_parameters(sent, name)
    period = _period(sent, name, _EARLIEST, _LATEST)
    counted = await _counted(context, sent, name, period)
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.{name}Response",
        **dict(zip(COUNTS, total(counted.values()), strict=True)),
    }


async def get_series(context: Context, sent: Mapping[str, Any]) -> dict[str, Any]:
    """ee_GetEmailEngagementSeries: the same by day and by hour of the week, by a clock."""
    name = "ee_GetEmailEngagementSeries"
    demand_parameters(sent, name)
    clock = await _clock(context, sent, name)
    end = _moment(sent, name, "To") or context.now + timedelta(minutes=15)
    last_day = clock.day(period_of(end, end).stop - timedelta(seconds=1))
    first_day = last_day - timedelta(days=DEFAULT_DAYS - 1)
    period = _period(sent, name, datetime.combine(first_day, time(), clock.zone), end)
    if not period.is_empty and (clock.day(period.last) - clock.day(period.start)).days >= MAX_DAYS:
        raise bad_payload(f"'{name}' tells at most {MAX_DAYS} days: move 'From' and 'To' nearer to each other.")
    counted = await _counted(context, sent, name, period)
    # In a thread: 70,000 quarter hours of two busy years take a fifth of a second, and recipients are served here too.
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.{name}Response",
        "TimeZone": clock.name,
        "From": format_time(period.start),
        "To": format_time(period.stop),
        **await asyncio.to_thread(_series, counted, period, clock.zone),
    }


def _series(counted: Mapping[int, Counts], period: Period, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "Days": [{"Date": f"{day}", **_point(counts)} for day, counts in by_day(counted, period, zone)],
        "Hours": [
            {"Weekday": hour // 24, "Hour": hour % 24, **_point(counts)}
            for hour, counts in enumerate(by_hour_of_week(counted, zone))
        ],
    }


def _point(counts: Counts) -> dict[str, int]:
    return dict(zip((name.removeprefix("Total") for name in COUNTS), counts, strict=True))


async def _counted(context: Context, sent: Mapping[str, Any], name: str, period: Period) -> dict[int, Counts]:
    from shared.services.aggregating import counts_of

    if sent.get("Target") is None:
        raise bad_payload(
            f"'{name}' needs the parameter 'Target', a record such as "
            '{"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": "<id>"}.'
        )
    target = await named_record(context, sent["Target"], "Target", _TARGETS, "a record that has figures")
    return await counts_of(context.organization, *target, period)


def _period(sent: Mapping[str, Any], name: str, start: datetime, end: datetime) -> Period:
    """Return the period that is asked for; `start` and `end` are those of one that is not said."""
    start, end = _moment(sent, name, "From") or start, _moment(sent, name, "To") or end
    if start > end:
        remedy = "exchange them" if sent.get("To") else "give 'To' as well, which is now where it is left out"
        raise bad_payload(f"The parameter 'From' of '{name}' is after 'To': {remedy}.")
    return period_of(start, end)


def _moment(sent: Mapping[str, Any], name: str, parameter: str) -> datetime | None:
    value = sent.get(parameter)
    if value is None:
        return None
    moment = parse_time(value) if isinstance(value, str) else None
    if moment is None:
        raise bad_payload(f"The parameter '{parameter}' of '{name}' must be a time such as 2026-11-23T17:35:00Z.")
    return min(moment, _LATEST)


async def _clock(context: Context, sent: Mapping[str, Any], name: str) -> Clock:
    """Return the clock of the zone that is asked for, the caller's where none is."""
    zone = sent.get("TimeZone")
    if zone is None:
        return await context.clock()
    wrong = complaint(zone) if isinstance(zone, str) else "it must be a text"
    if wrong:
        raise bad_payload(f"The parameter 'TimeZone' of '{name}' cannot have this value: {wrong}.")
    return Clock(zone, is_own=True)
