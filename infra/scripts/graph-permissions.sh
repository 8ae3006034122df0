#!/usr/bin/env bash
# What the app's managed identity may do in Microsoft 365. Safe to repeat; never fails a deployment.
# Files: Files.ReadWrite.All in Microsoft Graph, given here. GRAPH_FILES=none leaves it out: attachments then travel
# unfollowed. Mail: no permission in Entra ID, since that would open every mailbox; Exchange gives it for chosen ones.
# Reads AZURE_IDENTITY_CLIENT_ID and AZURE_IDENTITY_PRINCIPAL_ID.
set -euo pipefail

graph=https://graph.microsoft.com/v1.0
identity=$AZURE_IDENTITY_PRINCIPAL_ID

give_files() {
  local resource role given
  resource=$(az ad sp show --id 00000003-0000-0000-c000-000000000000 --query id --output tsv) || return
  role=$(az ad sp show --id "$resource" --query "appRoles[?value=='Files.ReadWrite.All'].id" --output tsv) || return
  given=$(az rest --method get --url "$graph/servicePrincipals/$identity/appRoleAssignments" \
    --query "value[].appRoleId" --output tsv) || return
  if grep -qx "$role" <<<"$given"; then
    echo "The app may reach files already."
    return
  fi
  az rest --method post --url "$graph/servicePrincipals/$identity/appRoleAssignments" \
    --headers "Content-Type=application/json" --output none \
    --body "{\"principalId\": \"$identity\", \"resourceId\": \"$resource\", \"appRoleId\": \"$role\"}" || return
  echo "The app may reach files (Files.ReadWrite.All)."
}

if [[ ${GRAPH_FILES:-all} == none ]]; then
  echo "The app gets no access to files: attachments travel unfollowed."
elif ! give_files; then
  cat <<TEXT

A PERSON must do this: the app could not be given access to files. Whoever is Privileged Role Administrator runs, signed
in with az login:
    AZURE_IDENTITY_CLIENT_ID=$AZURE_IDENTITY_CLIENT_ID AZURE_IDENTITY_PRINCIPAL_ID=$identity infra/scripts/graph-permissions.sh
TEXT
fi

cat <<TEXT

A PERSON must do this once: mail. Put the sellers into a mail-enabled security group. Whoever is Exchange Administrator
then runs in PowerShell (safe to repeat):
    ./infra/scripts/exchange.ps1 -ClientId $AZURE_IDENTITY_CLIENT_ID -PrincipalId $identity -Group sellers@contoso.com
TEXT
