#!/usr/bin/env bash
# What the template needs to know first: the month that the budget begins in, and the Web API's app registration.
set -euo pipefail
cd "$(dirname "$0")"

# Everything here asks through az, about what azd deploys.
if [[ -n ${AZURE_SUBSCRIPTION_ID:-} && $(az account show --query id --output tsv) != "$AZURE_SUBSCRIPTION_ID" ]]; then
  echo "az must be signed in to the subscription that azd deploys to: az login, then" >&2
  echo "    az account set --subscription $AZURE_SUBSCRIPTION_ID" >&2
  exit 1
fi

# Azure takes no other first month for a budget that is there, and none but this one for a budget that is not.
budgets="https://management.azure.com/subscriptions/${AZURE_SUBSCRIPTION_ID:-}/resourceGroups/rg-$AZURE_ENV_NAME/providers/Microsoft.Consumption/budgets"
began=$(az rest --method get --url "$budgets?api-version=2024-08-01" --output tsv \
  --query "value[?starts_with(name, 'budget-')].properties.timePeriod.startDate | [0]" 2>/dev/null) || began=
[[ $began == 20* ]] || began=$(date -u +%Y-%m-01)
azd env set BUDGET_START "${began:0:10}"

if [[ -n ${WEB_API_AUDIENCE:-} && -z ${WEB_API_CLIENT_ID:-} ]]; then
  echo "WEB_API_AUDIENCE is set by hand: its app registration is left alone."
else
  ./entra-app.sh
fi
