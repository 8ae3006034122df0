#!/usr/bin/env bash
# Makes or updates the app registration that bearer tokens for the Web API are issued for. Safe to repeat.
# Reads AZURE_ENV_NAME and, where clients ask for `{base_url}/.default`, WEB_API_URIS: comma-separated addresses of
# organizations (https://links.contoso.com/contoso) on a domain that is verified in the tenant.
# Writes WEB_API_CLIENT_ID and WEB_API_AUDIENCE into the azd environment.
set -euo pipefail
cd "$(dirname "$0")"

graph=https://graph.microsoft.com/v1.0
application="$graph/applications(uniqueName='email-engagement-$AZURE_ENV_NAME')"

if ! az rest --method patch --url "$application" --headers "Prefer=create-if-missing" "Content-Type=application/json" \
  --body @entra-app.json --output none; then
  cat >&2 <<TEXT
The app registration of the Web API could not be made or changed. A PERSON with the role Application Administrator must
run this once, signed in with az login:
    AZURE_ENV_NAME=$AZURE_ENV_NAME WEB_API_URIS='${WEB_API_URIS:-}' infra/scripts/entra-app.sh
TEXT
  exit 1
fi

# Entra ID may not know everywhere yet what it has just made.
patiently() {
  for _ in {1..10}; do
    "$@" && return
    sleep "${RETRY_SECONDS:-6}"
  done
  return 1
}

client_id=$(patiently az rest --method get --url "$application?\$select=appId" --query appId --output tsv)
az ad sp show --id "$client_id" --output none 2>/dev/null || patiently az ad sp create --id "$client_id" --output none

# The first one is what a 401 names as resource (docs/web-api-access.md).
uris=()
IFS=, read -ra named <<<"${WEB_API_URIS:-}"
for uri in "${named[@]}" "api://$client_id"; do
  uris+=("${uri%/}")
done
quoted=$(printf '"%s",' "${uris[@]}")
if ! az rest --method patch --url "$application" --headers "Content-Type=application/json" \
  --body "{\"identifierUris\": [${quoted%,}]}" --output none; then
  echo "WEB_API_URIS was refused: every address must lie on a domain that is verified in this tenant. Verify the domain" >&2
  echo "in Entra ID, or leave WEB_API_URIS empty and see 'Clients without a verified domain' in docs/deploying.md." >&2
  exit 1
fi

azd env set WEB_API_CLIENT_ID "$client_id"
azd env set WEB_API_AUDIENCE "$(IFS=,; echo "${uris[*]}"),$client_id"
