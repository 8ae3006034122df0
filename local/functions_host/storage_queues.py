"""Queue clients for the connections that bindings name, and one word in the log when their storage goes and returns."""

import logging
from collections.abc import Mapping

from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.azurite import connection_string

log = logging.getLogger("functions_host.storage")

DEVELOPMENT_STORAGE = connection_string(10000)
"""What `UseDevelopmentStorage=true` stands for."""


class StorageQueues:
    """Shares one service client per connection."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._services: dict[str, QueueServiceClient] = {}
        self._unreachable = False

    def queue(self, connection: str, name: str) -> QueueClient:
        """Return the client of a queue behind the app setting `connection`. Raises LookupError when it is not set."""
        if connection not in self._services:
            # No retries inside the SDK: its pauses of many seconds would hide an outage from the back-off here.
            self._services[connection] = QueueServiceClient.from_connection_string(
                self._connection_string(connection), retry_total=0, connection_timeout=5, read_timeout=30
            )
        return self._services[connection].get_queue_client(name)

    def _connection_string(self, connection: str) -> str:
        for name in (connection, f"AzureWebJobs{connection}"):
            if value := self._settings.get(name):
                return DEVELOPMENT_STORAGE if value.strip().rstrip(";") == "UseDevelopmentStorage=true" else value
        raise LookupError(f"the app setting {connection} (a storage connection string) is not set")

    def failed(self, error: Exception) -> None:
        """Note that storage did not answer; logged once until it does."""
        if not self._unreachable:
            self._unreachable = True
            log.warning(
                "storage does not answer (%s); queue triggers pause and go on when it is back", type(error).__name__
            )

    def answered(self) -> None:
        """Note that storage answered."""
        if self._unreachable:
            self._unreachable = False
            log.warning("storage answers again; queue triggers go on")

    async def close(self) -> None:
        """Close all connections."""
        for service in self._services.values():
            await service.close()
