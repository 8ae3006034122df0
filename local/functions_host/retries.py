"""One trigger's event: the function invoked until it succeeds or its retry policy is used up."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta

from local.functions_host.outputs import OutputSender
from local.functions_host.worker import Datum, Function, Outcome, invoke, new_invocation_id

log = logging.getLogger("functions_host.invocation")


async def run_with_retries(
    function: Function,
    inputs: list[tuple[str, Datum]],
    metadata: Mapping[str, Datum],
    send_outputs: OutputSender,
    timeout: timedelta | None,
) -> bool:
    """Invoke a function for one event and send its outputs; return whether it succeeded in the end.

    `timeout` is host.json's functionTimeout, for each invocation. Every failure is logged.
    """
    retry = 0
    while True:
        if await _run_once(function, inputs, metadata, send_outputs, timeout, retry):
            return True
        policy = function.retry
        if policy is None or (policy.max_retries != -1 and retry >= policy.max_retries):
            return False
        await asyncio.sleep(policy.delay(retry))
        retry += 1


async def _run_once(
    function: Function,
    inputs: list[tuple[str, Datum]],
    metadata: Mapping[str, Datum],
    send_outputs: OutputSender,
    timeout: timedelta | None,
    retry: int,
) -> bool:
    invocation_id = new_invocation_id()
    try:
        async with asyncio.timeout(timeout.total_seconds() if timeout else None):
            outcome = await invoke(function, invocation_id, inputs, metadata, retry)
        if outcome.ok:
            await send_outputs(outcome)
    except TimeoutError:
        outcome = Outcome(ok=False, traceback=f"timed out after {timeout} (host.json functionTimeout)")
    except Exception as error:
        log.exception("function=%s invocation=%s outputs could not be sent", function.name, invocation_id)
        outcome = Outcome(ok=False, error=repr(error))
    if not outcome.ok and outcome.traceback:
        log.warning(
            "function=%s invocation=%s retry=%d failed\n%s", function.name, invocation_id, retry, outcome.traceback
        )
    return outcome.ok
