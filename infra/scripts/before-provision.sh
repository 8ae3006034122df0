#!/usr/bin/env bash
# What the template needs to know first: the month that the budget begins in, and the Web API's app registration.
set -euo pipefail
cd "$(dirname "$0")"

# Azure takes no other first month for a budget that is there.
if [[ -z ${BUDGET_START:-} ]]; then
  azd env set BUDGET_START "$(date -u +%Y-%m-01)"
fi

if [[ -n ${WEB_API_AUDIENCE:-} && -z ${WEB_API_CLIENT_ID:-} ]]; then
  echo "WEB_API_AUDIENCE is set by hand: its app registration is left alone."
else
  ./entra-app.sh
fi
