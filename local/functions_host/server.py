"""The life of a host: index the app, listen to triggers, serve HTTP, stop in order."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import azure_functions_runtime
import uvicorn

from local.functions_host import queues, timers
from local.functions_host.host_json import HostOptions
from local.functions_host.http import Keys, create_application
from local.functions_host.outputs import OutputSender, output_sender
from local.functions_host.storage_queues import StorageQueues
from local.functions_host.worker import Function, index

SUPPORTED_TRIGGERS = frozenset({"httptrigger", "queuetrigger", "timertrigger"})

STOP_SECONDS = 10
"""How long invocations may go on after the host was told to stop."""

KEEP_ALIVE_SECONDS = 130
"""How long an idle connection stays open: Kestrel's default, which clients in Azure are used to."""

log = logging.getLogger("functions_host")


class _Server(uvicorn.Server):
    """uvicorn, leaving signals to the host: it would raise them again at its end, and the exit status would tell."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(app: Path, options: HostOptions, settings: Mapping[str, str], listener: socket.socket) -> None:
    """Serve the app on a bound socket until SIGTERM or SIGINT; then finish what runs, for `STOP_SECONDS`.

    Raises IndexingError when the app cannot be loaded, ValueError when a trigger is not understood.
    """
    functions = [function for function in await index(app) if not _is_disabled(function, settings)]
    azure_functions_runtime.start_threadpool_executor()
    storage = StorageQueues(settings)

    def sender(function: Function) -> OutputSender:
        return output_sender(function, storage, settings, base64_messages=options.queues.base64)

    keys = Keys(settings.get("FUNCTION_KEY"), settings.get("MASTER_KEY"))
    server = _Server(
        uvicorn.Config(
            create_application(functions, options.route_prefix, keys, sender),
            loop="none", http="httptools", ws="none", lifespan="off", interface="asgi3", log_config=None,
            access_log=False, server_header=False, proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=STOP_SECONDS,
        )
    )  # fmt: skip
    stopping = asyncio.Event()

    def stop() -> None:
        if not stopping.is_set():
            server.should_exit = True
            stopping.set()
            _end_process_after(STOP_SECONDS + 2)

    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop)
    listeners = [
        asyncio.create_task(coroutine, name=function.name)
        for function in functions
        if (coroutine := _listener(function, options, settings, storage, sender, stopping)) is not None
    ]
    for task in listeners:
        task.add_done_callback(_log_end)
    log.info("%d functions on http://%s:%d", len(functions), *listener.getsockname()[:2])
    await asyncio.gather(server.serve(sockets=[listener]), _finish(listeners, stopping))
    await storage.close()
    azure_functions_runtime.stop_threadpool_executor()


def _is_disabled(function: Function, settings: Mapping[str, str]) -> bool:
    """Follow the app setting `AzureWebJobs.{name}.Disabled`."""
    return settings.get(f"AzureWebJobs.{function.name}.Disabled", "").lower() in ("true", "1")


def _listener(
    function: Function,
    options: HostOptions,
    settings: Mapping[str, str],
    storage: StorageQueues,
    sender: Any,
    stopping: asyncio.Event,
) -> Coroutine[Any, Any, None] | None:
    """Return what listens for a timer or queue function; None for HTTP, or when it cannot start, which is logged.

    As in Azure, one listener that cannot start does not keep the others from it.
    """
    if function.trigger_type not in SUPPORTED_TRIGGERS:
        raise ValueError(f"{function.name}: triggers of type {function.trigger['type']} are not supported locally")
    try:
        if function.trigger_type == "timertrigger":
            state = timers.state_directory(settings)
            timer = timers.timer_trigger(function, settings, state, options.function_timeout, sender(function))
            return timers.listen(timer, stopping)
        if function.trigger_type == "queuetrigger":
            trigger = queues.queue_trigger(
                function, storage, settings, options.queues, options.function_timeout, sender(function)
            )
            return queues.listen(trigger, stopping)
    except (LookupError, ValueError) as error:
        log.error("function=%s its listener cannot start: %s", function.name, error)
    return None


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("function=%s its listener ended", task.get_name(), exc_info=error)


def _end_process_after(seconds: float) -> None:
    """End the process although a sync function still runs: a thread cannot be cut off, and Python would wait for it."""

    def end() -> None:
        log.error("a function did not end in time and is cut off with its process")
        os._exit(1)

    watchdog = threading.Timer(seconds, end)
    watchdog.daemon = True
    watchdog.start()


async def _finish(listeners: list[asyncio.Task[None]], stopping: asyncio.Event) -> None:
    """Once stopping, wait for the listeners and what they run; cancel what takes longer than `STOP_SECONDS`."""
    await stopping.wait()
    if not listeners:
        return
    _, late = await asyncio.wait(listeners, timeout=STOP_SECONDS)
    for task in late:
        log.warning("function=%s did not end in %d seconds and is cut off", task.get_name(), STOP_SECONDS)
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
