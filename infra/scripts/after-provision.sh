#!/usr/bin/env bash
# The secret that links are signed with, and what Microsoft 365 must allow.
set -euo pipefail
cd "$(dirname "$0")"

./token-secrets.sh
./graph-permissions.sh
