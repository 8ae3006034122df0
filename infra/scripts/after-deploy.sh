#!/usr/bin/env bash
# Waits until the app answers, and says what comes next. Reads BASE_URL, AZURE_STORAGE_ACCOUNT and AZURE_FUNCTION_NAME.
set -euo pipefail

# A custom domain may not lead here yet, so the app's own name is asked.
health="https://$AZURE_FUNCTION_NAME.azurewebsites.net/health"
for attempt in {1..40}; do
  if curl --silent --fail --max-time 10 --output /dev/null "$health"; then
    break
  elif [[ $attempt == 40 ]]; then
    echo "$health does not answer. The log stream tells why: most often an app setting that cannot be read yet" >&2
    echo "(the role on Key Vault takes minutes). Try again with: azd hooks run postdeploy" >&2
    exit 1
  fi
  sleep "${RETRY_SECONDS:-5}"
done

cat <<TEXT
The service answers at $BASE_URL.
Add an organization (Python 3.13, signed in with az login; docs/deploying.md):
    .venv/bin/python manage.py --account $AZURE_STORAGE_ACCOUNT add contoso --tenant $(az account show --query tenantId --output tsv)
TEXT
