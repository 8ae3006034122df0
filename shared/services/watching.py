"""What an operator's instruments ask of the deployment: is it ready, and is anything given up."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass

from shared import metrics
from shared.services.recording import is_spooling, lost_hits, recorder, spool_troubles
from shared.settings import SettingError, settings
from shared.storage import queues
from shared.storage.account import StorageError, host_account
from shared.storage.organizations import TABLE
from shared.storage.tables import Tables

OK = "ok"
KEPT_SECONDS = 5.0
"""How long an answer serves whoever else asks: a flood of questions reaches storage once in this time."""
PATIENCE = 3.0
"""Seconds after which storage that has not answered counts as not answering."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the deployment can do its work, and for each part ``ok`` or what is wrong and what to do."""

    checks: dict[str, str]

    @property
    def ready(self) -> bool:
        """Whether every part is well."""
        return all(found == OK for found in self.checks.values())


_asked: tuple[float, asyncio.Task[Readiness]] | None = None


async def readiness() -> Readiness:
    """Return how the deployment is, as found at most `KEPT_SECONDS` ago; whoever asks meanwhile waits for one look."""
    global _asked
    now = time.monotonic()
    if _asked is None or _asked[0] < now or _asked[1].get_loop() is not asyncio.get_running_loop():
        _asked = (now + KEPT_SECONDS, asyncio.create_task(look()))
    return await asyncio.shield(_asked[1])


async def look() -> Readiness:
    """Look at settings, tables and queues, and return what was found."""
    try:
        settings()
        host_account()
    except SettingError as error:
        return Readiness({"settings": f"{error} (docs/settings.md)", "tables": "not asked", "queues": "not asked"})
    tables, messages, spool = await asyncio.gather(
        _answers("tables", _first_organization()), _answers("queues", queues.count_messages(queues.FOLD)), _spool()
    )
    return Readiness({"settings": OK, "tables": tables, "queues": messages, "spool": spool})


async def count_poison() -> None:
    """Tell the operator how many messages wait in the queues of what was given up."""
    try:
        counts = await asyncio.gather(*(queues.count_messages(f"{queue}-poison") for queue in queues.QUEUES))
    except StorageError as error:
        _log.warning("the poison queues were not counted: %s", error.code)
        return
    metrics.POISON_MESSAGES.set(sum(counts))


async def _first_organization() -> None:
    async for _ in Tables(host_account()).query(TABLE, page_size=1):
        return


async def _answers(service: str, question: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(PATIENCE):
            await question
    except (StorageError, SettingError, TimeoutError) as error:
        code = error.code if isinstance(error, StorageError) else type(error).__name__
        _log.warning("storage's %s did not answer: %s", service, code)
        return f"storage's {service} did not answer ({code}): see storage in docs/operations.md"
    return OK


async def _spool() -> str:
    """Return whether the disk could take hits, should storage be away, and whether some wait there: recipients are
    answered all the same, cards and counters are late."""
    recorder()
    try:
        async with asyncio.timeout(PATIENCE):
            troubles = await asyncio.to_thread(spool_troubles)
    except TimeoutError:
        troubles = ["the disk that holds SPOOL_DIR did not answer"]
    if troubles:
        return f"{troubles[0]}; {lost_hits()} hits lost so far: see the spool in docs/operations.md"
    if not is_spooling():
        return OK
    return "hits wait on this instance's disk for storage: see spool-not-draining in docs/operations.md"
