"""Microsoft's worker library, driven through its entry without protobuf.

`azure_functions_runtime.native_invocation` is not in the library's `__all__`: the version is pinned, and
tests/contract/test_functions_host.py notices when it changes.
"""

import itertools
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import azure_functions_runtime
from azure_functions_runtime.bindings import datumdef
from azure_functions_runtime.native_invocation import invocation_request_native

# The library is untyped.
_runtime: Any = azure_functions_runtime
_invoke: Any = invocation_request_native


class Datum(Protocol):
    """A value on its way to or from a function; `type` is `string`, `bytes`, `int`, `json` or `http`."""

    value: Any
    type: str


datum: Callable[[Any, str], Datum] = datumdef.Datum
"""Makes a Datum of a value and its type."""


class IndexingError(Exception):
    """The app could not be loaded; the text is the worker's own explanation with its traceback."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A retry policy of the v2 model; `max_retries` -1 means without end."""

    max_retries: int
    minimum: timedelta
    maximum: timedelta
    exponential: bool

    def delay(self, retry: int) -> float:
        """Return the seconds to wait before retry number `retry` (from 0)."""
        if not self.exponential:
            return self.minimum.total_seconds()
        return min(self.minimum.total_seconds() * 2.0 ** min(retry, 64), self.maximum.total_seconds())


@dataclass(frozen=True, slots=True)
class Function:
    """An indexed function: its trigger binding, its output bindings by parameter, its retry policy."""

    id: str
    name: str
    trigger: Mapping[str, Any]
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    retry: RetryPolicy | None = None

    @property
    def trigger_type(self) -> str:
        """The type of the trigger in lower case: httptrigger, timertrigger, queuetrigger."""
        return str(self.trigger["type"]).lower()


class Outcome(NamedTuple):
    """How an invocation ended: the return value and outputs as the worker converted them, or what was raised."""

    ok: bool
    returned: Datum | None = None
    outputs: Sequence[tuple[str, Datum]] = ()
    error: str | None = None
    traceback: str | None = None


class _Message:
    """Stands in for a protobuf message: the library only constructs them and reads fields back."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class _StatusResult(_Message):
    Failure = 0
    Success = 1


class _BindingInfo(_Message):
    undefined = 0
    out = 1
    inout = 2


_PROTOS = SimpleNamespace(
    BindingInfo=_BindingInfo,
    FunctionMetadataResponse=_Message,
    RpcException=_Message,
    RpcFunctionMetadata=_Message,
    RpcRetryOptions=_Message,
    StatusResult=_StatusResult,
    WorkerInitResponse=_Message,
    WorkerMetadata=_Message,
)


async def index(app: Path) -> list[Function]:
    """Import `function_app.py` of a directory and return its functions in order of registration.

    Raises IndexingError with the worker's explanation.
    """
    sys.path.insert(0, str(app))
    request = SimpleNamespace(
        request=SimpleNamespace(worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(app))),
        properties={"host": "", "protos": _PROTOS},
    )
    result = (await _runtime.worker_init_request(request)).result
    if result.status != _StatusResult.Success:
        raise IndexingError(f"{result.exception.message}\n{result.exception.stack_trace}")
    answer = await _runtime.functions_metadata_request(request)
    if not answer.function_metadata_results:
        raise IndexingError(f"no functions were found in {app.name}/function_app.py")
    return [_function(metadata) for metadata in answer.function_metadata_results]


def _function(metadata: Any) -> Function:
    bindings = [json.loads(raw) for raw in metadata.raw_bindings]
    return Function(
        id=metadata.function_id,
        name=metadata.name,
        trigger=next(binding for binding in bindings if binding["type"].lower().endswith("trigger")),
        outputs={binding["name"]: binding for binding in bindings if binding.get("direction") == "OUT"},
        retry=_retry_policy(metadata.retry_options),
    )


def _retry_policy(options: Any) -> RetryPolicy | None:
    if options is None:
        return None
    fixed = getattr(options, "delay_interval", None)
    return RetryPolicy(
        max_retries=options.max_retry_count,
        minimum=fixed if fixed is not None else options.minimum_interval,
        maximum=fixed if fixed is not None else options.maximum_interval,
        exponential=fixed is None,
    )


async def invoke(
    function: Function,
    invocation_id: str,
    inputs: list[tuple[str, Datum]],
    metadata: Mapping[str, Datum],
    retry_count: int = 0,
) -> Outcome:
    """Call a function once: async ones on this event loop, sync ones in the library's thread pool."""
    answer = await _invoke(
        invocation_id,
        function.id,
        inputs,
        metadata,
        retry_count=retry_count,
        max_retry_count=function.retry.max_retries if function.retry else 0,
    )
    return Outcome(*answer)


_process = os.urandom(10).hex()
_count = itertools.count(1)


def new_invocation_id() -> str:
    """Return an id in the shape of a GUID: random for the process, counting within it (cheaper than a random one)."""
    return f"{_process[:8]}-{_process[8:12]}-{_process[12:16]}-{_process[16:20]}-{next(_count):012x}"
