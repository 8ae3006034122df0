"""A stand-in for the part of Microsoft 365 that the product uses: Entra ID tokens, Graph mail and files, and the world.

It speaks the slice of Microsoft Graph v1.0 in `tests/contract/graph-v1.0-slice.json`, keeps its state in SQLite, and is
reachable from this machine only. Start it with `python -m local.microsoft365`.
"""
