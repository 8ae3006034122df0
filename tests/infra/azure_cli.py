"""A stand-in for `az` and `azd` on the PATH of the deployment scripts: what they ask is noted, what they keep is files.

Called as `az` or `azd`; CLI_STATE names the folder. A file `deny-<word>` there makes calls that contain the word fail,
`once-<word>` the next one only.
"""

import json
import os
import sys
from itertools import takewhile
from pathlib import Path

OPTIONS = {
    "account show": {"--query"},
    "ad sp create": {"--id"},
    "ad sp show": {"--id", "--query"},
    "keyvault secret set": {"--vault-name", "--name", "--file", "--encoding"},
    "keyvault secret show": {"--vault-name", "--name", "--query"},
    "rest": {"--method", "--url", "--headers", "--body", "--query"},
}
"""What the commands of `az` that the scripts use take (learn.microsoft.com/cli/azure); all take `--output`."""


def main(tool: str, arguments: list[str], state: Path) -> int:
    """Answer one call; return the exit status."""
    with (state / "calls").open("a") as calls:
        calls.write(json.dumps([tool, *arguments]) + "\n")
    command = " ".join(takewhile(lambda argument: not argument.startswith("-"), arguments))
    if tool == "az" and not {one for one in arguments if one.startswith("--")} <= {*OPTIONS[command], "--output"}:
        print(f"ERROR: unrecognized arguments: {arguments}", file=sys.stderr)
        return 2
    for denied in (*state.glob("deny-*"), *state.glob("once-*")):
        kind, _, word = denied.name.partition("-")
        if word in " ".join(arguments):
            print(denied.read_text(), file=sys.stderr)
            if kind == "once":
                denied.unlink()
            return 1
    if tool == "azd":
        name, value = arguments[2:4]
        (state / f"env-{name}").write_text(value)
        return 0
    return az(arguments, state)


def az(arguments: list[str], state: Path) -> int:
    """Answer what the scripts ask of `az`."""

    def option(name: str) -> str:
        return arguments[arguments.index(name) + 1] if name in arguments else ""

    secret, assigned, budget = state / "secret", state / "assigned", state / "budget"
    if arguments[:2] == ["account", "show"]:
        print("22222222-3333-4444-5555-666666666666")
    elif option("--url").partition("?")[0].endswith("/secrets/token-secrets"):
        return 0 if secret.exists() else 1
    elif option("--url").partition("?")[0].endswith("/budgets"):
        print(budget.read_text() if budget.exists() else "")
    elif arguments[:3] == ["keyvault", "secret", "show"]:
        if not secret.exists():
            print("ERROR: (SecretNotFound) A secret with (name/id) token-secrets was not found", file=sys.stderr)
            return 1
        print(secret.read_text())
    elif arguments[:3] == ["keyvault", "secret", "set"]:
        secret.write_text(Path(option("--file")).read_text())
    elif arguments[:3] == ["ad", "sp", "show"]:
        print("files-role" if "appRoles" in option("--query") else "graph-object")
    elif option("--method") == "get" and "appRoleAssignments" in option("--url"):
        print(assigned.read_text() if assigned.exists() else "")
    elif option("--method") == "post" and "appRoleAssignments" in option("--url"):
        assigned.write_text(json.loads(option("--body"))["appRoleId"])
    elif option("--method") == "get" and "applications" in option("--url"):
        print("11111111-2222-3333-4444-555555555555")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[0]).name, sys.argv[1:], Path(os.environ["CLI_STATE"])))
