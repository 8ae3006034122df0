"""Write types.json anew from a clone of Microsoft's published type data (the repository Azure/bicep-types-az).

    python -m tests.infra.extract_types CLONE

Kept are the resource types that infra/bicep uses; of an object that infra/bicep never opens only the property's name
and flags are kept, since the whole is some megabytes. Run it after a type, version or nested object has been added.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tree_sitter import Node

from tests.infra.checks import BICEP, TYPES, parse_all, variable_value
from tests.infra.syntax import File, innermost, operands, properties

type Paths = dict[str, "Paths"]


def main(clone: Path) -> None:
    """Read the clone (bare or not, through git) and write types.json beside this file."""
    paths = _git(clone, "ls-tree", "-r", "--name-only", "HEAD", "generated").splitlines()
    extract = {
        target: _resource(clone, [path for path in paths if path.endswith(_tail(target))], target, used)
        for target, used in sorted(_used().items())
    }
    TYPES.write_text(json.dumps(extract, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _tail(target: str) -> str:
    name, _, version = target.partition("@")
    return f"/{name.partition('/')[0].lower()}/{version}/types.json"


def _resource(clone: Path, candidates: list[str], target: str, used: Paths) -> Any:
    for path in candidates:
        types = json.loads(_git(clone, "show", f"HEAD:{path}"))
        for found in types:
            if found["$type"] == "ResourceType" and found["name"].lower() == target.lower():
                return _tree(types, found["body"], used, frozenset())
    raise SystemExit(f"{target} is not in the published type data: is the version right?")


def _git(clone: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(clone), *arguments], check=True, capture_output=True, text=True).stdout


def _used() -> dict[str, Paths]:
    used: dict[str, Paths] = {}
    for file in parse_all(BICEP).values():
        for resource in file.of_kind("resource"):
            _open(file, resource.body, used.setdefault(resource.target, {"properties": {}}))
    return used


def _open(file: File, node: Node, paths: Paths) -> None:
    """Note the properties that an expression sets, however deep."""
    node = innermost(node)
    if node.type == "object":
        for name, value in properties(node).items():
            _open(file, value, paths.setdefault(name, {}))
    elif node.type == "identifier" and (variable := variable_value(file, node)) is not None:
        _open(file, variable, paths)
    elif node.type in ("array", "ternary_expression", "call_expression", "arguments"):
        for child in operands(node):
            _open(file, child, paths)


def _tree(types: list[dict[str, Any]], reference: dict[str, str], paths: Paths | None, above: frozenset[int]) -> Any:
    """Return a type as plain JSON: a word, the values of an enumeration, `[items]`, or an object's properties."""
    number = int(reference["$ref"].removeprefix("#/"))
    found = types[number]
    kind = found["$type"]
    if kind in ("StringType", "IntegerType", "BooleanType", "AnyType"):
        return {"StringType": "string", "IntegerType": "int", "BooleanType": "bool"}.get(kind, "any")
    if kind == "StringLiteralType":
        return {"values": [found["value"]]}
    if kind == "UnionType":
        options = [_tree(types, element, None, above) for element in found["elements"]]
        # Where any other text is allowed beside the named values, ours must still be one of those that are named.
        return {"values": sorted(value for option in options if isinstance(option, dict) for value in option["values"])}
    if kind == "ArrayType":
        return {"items": _tree(types, found["itemType"], paths, above)}
    if paths is None or number in above:
        return "object"
    return _object(types, found, paths, above | {number})


def _object(types: list[dict[str, Any]], found: dict[str, Any], paths: Paths, above: frozenset[int]) -> Any:
    members = found.get("properties") or found.get("baseProperties") or {}
    tree: dict[str, Any] = {
        "properties": {
            # Small types are kept even where they are not used yet.
            name: [member["flags"], _tree(types, member["type"], paths.get(name), above)]
            for name, member in members.items()
        }
    }
    if "additionalProperties" in found:
        rest = {inner: deeper for path in paths.values() for inner, deeper in path.items()}
        tree["additional"] = _tree(types, found["additionalProperties"], rest, above)
    if found["$type"] == "DiscriminatedObjectType":
        tree["discriminator"] = found["discriminator"]
        tree["variants"] = {value: _tree(types, variant, paths, above) for value, variant in found["elements"].items()}
    return tree


if __name__ == "__main__":
    main(Path(sys.argv[1]))
