"""A Functions host for one machine: Microsoft's Python worker library behind HTTP, timers and storage queues.

Indexing, binding conversion and invocation are Microsoft's code (azure-functions-runtime, the library that runs in
Azure). Routing, authorization levels, schedules, queue polling, leases, retries and poison queues are here and follow
host.json. Start it with ``python -m local.functions_host``.
"""
