#!/usr/bin/env bash
# The secrets that links are signed with, in Key Vault as `token-secrets`: id:base64,id:base64. Safe to repeat.
#   infra/scripts/token-secrets.sh       makes the first one where there is none
#   infra/scripts/token-secrets.sh add   adds another (first step of a rotation, docs/deploying.md)
# None is ever removed: a link in a sent mail must not die. Values go through a private file, never a command line.
# Reads AZURE_SUBSCRIPTION_ID, AZURE_KEY_VAULT_NAME, AZURE_RESOURCE_GROUP and AZURE_FUNCTION_NAME from the environment
# (`azd env get-values`).
set -euo pipefail
umask 077

vault=$AZURE_KEY_VAULT_NAME
group="https://management.azure.com/subscriptions/$AZURE_SUBSCRIPTION_ID/resourceGroups/$AZURE_RESOURCE_GROUP"

# Azure Resource Manager tells that there is one, not what it is: for that nobody needs a way into a private network.
if [[ ${1:-} != add ]] && az rest --method get --output none 2>/dev/null \
  --url "$group/providers/Microsoft.KeyVault/vaults/$vault/secrets/token-secrets?api-version=2024-11-01"; then
  echo "Links are signed with a secret that is there already."
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A role that the template has just given is in force within minutes.
for attempt in {1..40}; do
  if az keyvault secret show --vault-name "$vault" --name token-secrets --query value --output tsv >"$work/old" 2>"$work/error"; then
    break
  elif grep -qi SecretNotFound "$work/error"; then
    : >"$work/old"
    break
  elif [[ $attempt == 40 ]] || ! grep -qi Forbidden "$work/error"; then
    cat "$work/error" >&2
    echo "Key Vault $vault cannot be read. The role 'Key Vault Secrets Officer' is needed, and with a private network" >&2
    echo "OPERATOR_ADDRESS must be your address." >&2
    exit 1
  fi
  echo "Waiting for the role on Key Vault $vault ..." >&2
  sleep "${RETRY_SECONDS:-15}"
done

old=$(<"$work/old")
if [[ -n $old && ${1:-} != add ]]; then
  echo "Links are signed with a secret that is there already."
  exit 0
fi

# Ids go up; the last entry has the highest.
last=${old##*,}
id=$((${last%%:*} + 1))
printf '%s%s:%s' "${old:+$old,}" "$id" "$(head -c 32 /dev/urandom | base64)" >"$work/new"
az keyvault secret set --vault-name "$vault" --name token-secrets --file "$work/new" --encoding utf-8 --output none
echo "Secret $id is in Key Vault $vault."

# Azure looks once a day by itself; told so, instances that start from now on know it.
app="$group/providers/Microsoft.Web/sites/$AZURE_FUNCTION_NAME"
az rest --method post --output none --url "$app/config/configreferences/appsettings/refresh?api-version=2022-03-01"
az rest --method post --output none --url "$app/restart?api-version=2024-11-01"

if [[ -n $old ]]; then
  cat <<TEXT
New links still use the old one. When every instance knows secret $id (ten minutes after this restart), let new links
use it:
    azd env set TOKEN_KEY $id && azd provision
TEXT
fi
