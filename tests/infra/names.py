"""Names of resources: what Azure takes, and that nobody else in Azure has them."""

import re
from collections.abc import Iterator

from tree_sitter import Node

from tests.infra.checks import variable_value
from tests.infra.syntax import Declaration, File, innermost, operands, properties, text

_UNIQUE = "2k4m6p7r8s9tv"
"""What stands for a `uniqueString`: 13 letters and digits."""
_NAMED = {
    "Microsoft.KeyVault/vaults": r"(?=.{3,24}$)[a-zA-Z](-?[a-zA-Z0-9])+",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.Storage/storageAccounts/blobServices/containers": r"(?=.{3,63}$)[a-z0-9](-?[a-z0-9])+",
    "Microsoft.Web/sites": r"(?=.{2,60}$)[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]",
}
"""What Azure takes for a name (learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules)."""
_NAMED_FOR_ALL_OF_AZURE = {"Microsoft.KeyVault/vaults", "Microsoft.Storage/storageAccounts", "Microsoft.Web/sites"}


def name_errors(files: dict[str, File]) -> list[str]:
    """Return names that Azure refuses, and names that somebody else may have where there may be only one in Azure."""
    return [
        complaint
        for file in files.values()
        for module in file.of_kind("module")
        if module.target in files
        for complaint in _name_errors(files[module.target], _rendered_parameters(file, module))
    ]


def _rendered_parameters(file: File, module: Declaration) -> dict[str, str]:
    return {name: _render(value, file, {}) for name, value in properties(properties(module.body)["params"]).items()}


def _name_errors(file: File, parameters: dict[str, str]) -> Iterator[str]:
    for resource in file.of_kind("resource"):
        kind = resource.target.partition("@")[0]
        if kind not in _NAMED or resource.existing:
            continue
        given = properties(resource.body)["name"]
        name = _render(given, file, parameters)
        if not re.fullmatch(_NAMED[kind], name):
            yield f"{file.place(given)}: {name} is no name for {kind}"
        if kind in _NAMED_FOR_ALL_OF_AZURE and _UNIQUE not in name:
            yield f"{file.place(given)}: {name} may be taken: there is one in all of Azure"


def _render(node: Node, file: File, parameters: dict[str, str]) -> str:
    """Return what a text comes to; what takes more than parameters, variables and `uniqueString` is a letter."""
    node = innermost(node)
    if node.type == "string":
        return "".join(
            text(part) if part.type == "string_content" else _render(operands(part)[0], file, parameters)
            for part in node.children
            if part.type in ("string_content", "interpolation")
        )
    if node.type == "call_expression" and text(operands(node)[0]) == "uniqueString":
        return _UNIQUE
    variable = variable_value(file, node) if node.type == "identifier" else None
    return parameters.get(text(node), "x") if variable is None else _render(variable, file, parameters)
