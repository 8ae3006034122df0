"""Timer triggers: NCRONTAB schedules, run at start, past due, and never twice at a time.

Source: learn.microsoft.com/azure/azure-functions/functions-bindings-timer. As in Azure a timer runs on one host at a
time and its last run is remembered, so that a run missed while no host was up is made up for with `past_due`. Azure
keeps both in blobs of the app's storage account; here a locked file per timer does, in a directory that all local hosts
on the same account share. Times are UTC.
"""

import asyncio
import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path

from local.functions_host import ncrontab
from local.functions_host.app_settings import expand
from local.functions_host.outputs import OutputSender
from local.functions_host.retries import run_with_retries
from local.functions_host.worker import Function, datum

LONGEST_SLEEP = 30.0
"""Seconds after which the wall clock is read again: it may be set, or the machine may have slept."""

log = logging.getLogger("functions_host.timers")


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer function with all that its listener needs."""

    function: Function
    schedule: ncrontab.Schedule
    run_on_startup: bool
    monitored: bool
    state: Path
    timeout: timedelta | None
    send_outputs: OutputSender


def timer_trigger(
    function: Function,
    settings: Mapping[str, str],
    state_directory: Path,
    timeout: timedelta | None,
    send_outputs: OutputSender,
) -> Timer:
    """Make a trigger of a timer function, keeping its state in a file below `state_directory`.

    Raises LookupError when the schedule names an app setting that is missing, ValueError when it is not NCRONTAB.
    """
    schedule = ncrontab.parse(expand(function.trigger["schedule"], settings))
    return Timer(
        function=function,
        schedule=schedule,
        run_on_startup=bool(function.trigger.get("runOnStartup")),
        monitored=function.trigger.get("useMonitor", True) is not False and _is_rare(schedule),
        state=state_directory / f"{function.name}.json",
        timeout=timeout,
        send_outputs=send_outputs,
    )


def state_directory(settings: Mapping[str, str]) -> Path:
    """Return where timers keep their state: below DATA_DIR (.local), apart for each storage account."""
    account = hashlib.sha256(settings.get("AzureWebJobsStorage", "").encode()).hexdigest()[:16]
    return Path(settings.get("DATA_DIR") or ".local") / "timers" / account


def _is_rare(schedule: ncrontab.Schedule) -> bool:
    return len(schedule.seconds) == 1


async def listen(timer: Timer, stopping: asyncio.Event) -> None:
    """Run the function when it is due until `stopping`; a run that has begun is finished."""
    started = datetime.now(UTC)
    missed = timer.monitored and is_past_due(timer.schedule, _last_run(timer.state), started)
    if timer.run_on_startup or missed:
        await _run(timer, started, past_due=missed)
    while not stopping.is_set():
        due = ncrontab.next_occurrence(timer.schedule, datetime.now(UTC))
        if due is None:
            log.error("function=%s schedule never comes due; the timer stops", timer.function.name)
            return
        if await _sleep_until(due, stopping):
            await _run(timer, due, past_due=False)


def is_past_due(schedule: ncrontab.Schedule, last: datetime | None, now: datetime) -> bool:
    """Say whether a run after `last` was missed by `now`; a timer that never ran has missed nothing."""
    if last is None:
        return False
    due = ncrontab.next_occurrence(schedule, last)
    return due is not None and due <= now


async def _sleep_until(due: datetime, stopping: asyncio.Event) -> bool:
    """Wait for an instant; return False when stopped before."""
    while (left := (due - datetime.now(UTC)).total_seconds()) > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), min(left, LONGEST_SLEEP))
            return False
    return True


async def _run(timer: Timer, due: datetime, *, past_due: bool) -> None:
    """Invoke the function for the occurrence `due`, unless another host is at it or was."""
    with _exclusive(timer.state) as file:
        if file is None:
            return
        last = _parse_last(file.read())
        if last is not None and due <= last <= datetime.now(UTC):
            return
        upcoming = ncrontab.next_occurrence(timer.schedule, due)
        status = {
            "Last": (last or datetime.min.replace(tzinfo=UTC)).isoformat(),
            "Next": upcoming.isoformat() if upcoming else "",
            "LastUpdated": (last or datetime.min.replace(tzinfo=UTC)).isoformat(),
        }
        request = {"IsPastDue": past_due, "ScheduleStatus": status, "Schedule": {"AdjustForDST": True}}
        await run_with_retries(
            timer.function,
            [(timer.function.trigger["name"], datum(json.dumps(request), "json"))],
            {},
            timer.send_outputs,
            timer.timeout,
        )
        file.seek(0)
        file.truncate()
        file.write(json.dumps({"last": due.isoformat()}))


@contextmanager
def _exclusive(state: Path) -> Iterator[TextIOWrapper | None]:
    """Open a timer's state for this host alone; None when another host has it. A killed host lets go by dying."""
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        file.seek(0)
        yield file


def _last_run(state: Path) -> datetime | None:
    return _parse_last(state.read_text(encoding="utf-8")) if state.exists() else None


def _parse_last(text: str) -> datetime | None:
    """Read a timer's state; one torn by a kill counts as none."""
    try:
        return datetime.fromisoformat(json.loads(text)["last"])
    except (ValueError, KeyError, TypeError):
        return None
