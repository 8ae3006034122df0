"""A stand-in for `az` and `azd` on the PATH of the deployment scripts: what they ask is noted, what they keep is files.

Called as `az` or `azd`; CLI_STATE names the folder. A file `deny-<word>` there makes calls that contain the word fail.
"""

import json
import os
import sys
from pathlib import Path

STATE = Path(os.environ["CLI_STATE"])
TOOL = Path(sys.argv[0]).name
ARGUMENTS = sys.argv[1:]


def option(name: str) -> str:
    """Return the value of an option, empty where it is not given."""
    return ARGUMENTS[ARGUMENTS.index(name) + 1] if name in ARGUMENTS else ""


def main() -> int:
    """Answer one call; return the exit status."""
    with (STATE / "calls").open("a") as calls:
        calls.write(json.dumps([TOOL, *ARGUMENTS]) + "\n")
    for denied in STATE.glob("deny-*"):
        if denied.name.removeprefix("deny-") in " ".join(ARGUMENTS):
            print(denied.read_text(), file=sys.stderr)
            return 1
    if TOOL == "azd":
        name, value = ARGUMENTS[2:4]
        (STATE / f"env-{name}").write_text(value)
        return 0
    return az()


def az() -> int:
    """Answer what the scripts ask of `az`."""
    secret = STATE / "secret"
    if ARGUMENTS[:3] == ["keyvault", "secret", "show"]:
        if not secret.exists():
            print("ERROR: (SecretNotFound) A secret with (name/id) token-secrets was not found", file=sys.stderr)
            return 1
        print(secret.read_text())
    elif ARGUMENTS[:3] == ["keyvault", "secret", "set"]:
        secret.write_text(Path(option("--file")).read_text())
    elif ARGUMENTS[:2] == ["functionapp", "show"]:
        print("/subscriptions/1/resourceGroups/g/providers/Microsoft.Web/sites/f")
    elif ARGUMENTS[:3] == ["ad", "sp", "show"]:
        print("files-role" if "appRoles" in option("--query") else "graph-object")
    elif option("--method") == "get" and "appRoleAssignments" in option("--url"):
        print((STATE / "assigned").read_text() if (STATE / "assigned").exists() else "")
    elif option("--method") == "post" and "appRoleAssignments" in option("--url"):
        (STATE / "assigned").write_text(json.loads(option("--body"))["appRoleId"])
    elif option("--method") == "get" and "applications" in option("--url"):
        print("11111111-2222-3333-4444-555555555555")
    return 0


if __name__ == "__main__":
    sys.exit(main())
