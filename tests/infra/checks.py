"""What can be said about Bicep files without the compiler: names, modules, and properties against published types.

Each check returns its complaints, one line each with file and line; none means that nothing was found.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tree_sitter import Node

from tests.infra.syntax import Declaration, File, innermost, literal, operands, parse, properties, text, walk

ROOT = Path(__file__).parents[2]
BICEP = ROOT / "infra" / "bicep"
TYPES = Path(__file__).with_name("types.json")

REQUIRED, READ_ONLY = 1, 2
"""Flags of a property in the type data."""

FUNCTIONS = frozenset(
    {"concat", "empty", "environment", "guid", "loadTextContent", "replace", "resourceGroup", "split", "string"}
    | {"subscription", "subscriptionResourceId", "tenant", "toUpper", "union", "uniqueString"}
)
"""The functions of the language that these files use (learn.microsoft.com/azure/azure-resource-manager/bicep)."""
DECORATORS = frozenset({"allowed", "description", "maxLength", "maxValue", "minLength", "minValue", "secure"})
RESOURCE_KEYS = frozenset({"parent", "scope", "dependsOn"})
"""Keys of a resource that are the language's, not the type's."""

_EXTRACT = "run python -m tests.infra.extract_types (see there)"


def parse_all(folder: Path, **replaced: str) -> dict[str, File]:
    """Parse the Bicep files of a folder by name; `replaced` gives other sources for some, by the name's stem."""
    return {
        path.name: parse(path, replaced.get(path.stem.replace("-", "_"))) for path in sorted(folder.glob("*.bicep"))
    }


def syntax_errors(file: File) -> list[str]:
    """Return where the grammar finds no sense."""
    broken = [node for node in walk(file.root) if node.type == "ERROR" or node.is_missing]
    return [f"{file.place(node)}: syntax error at {text(node)[:40]!r}" for node in broken]


# Names


def undefined_names(file: File) -> list[str]:
    """Return uses of names that nothing declares, and of functions and decorators that do not exist."""
    return [complaint for node in file.root.children for complaint in _undefined(file, node, frozenset())]


def _undefined(file: File, node: Node, local: frozenset[str]) -> Iterator[str]:
    local |= _bound_by(node)
    for child in node.children:
        if child.type == "identifier" and (known := _namespace(node, child, local, file)) is not None:
            if text(child) not in known:
                yield f"{file.place(child)}: {text(child)} is not defined"
        else:
            yield from _undefined(file, child, local)


def _bound_by(node: Node) -> frozenset[str]:
    """Return the names that a `for` or a lambda brings."""
    if node.type not in ("for_statement", "lambda_expression"):
        return frozenset()
    binder = operands(node)[0]
    return frozenset(text(part) for part in (binder, *operands(binder)) if part.child_count == 0 or _is_loop_part(part))


def _is_loop_part(node: Node) -> bool:
    return node.type in ("loop_variable", "loop_enumerator")


def _namespace(node: Node, child: Node, local: frozenset[str], file: File) -> frozenset[str] | None:
    """Return the names that an identifier may be one of; None where it declares a name or is a property's."""
    if node.type == "call_expression" and node.named_children[0] == child:
        return DECORATORS if node.parent and node.parent.type == "decorator" else FUNCTIONS
    if _declares(child):
        return None
    return local | frozenset(file.named)


def unused_names(file: File) -> list[str]:
    """Return parameters and variables that nothing uses."""
    used = {text(node) for node in walk(file.root) if node.type == "identifier" and not _declares(node)}
    return [
        f"{file.place(declaration.node)}: {declaration.name} is never used"
        for declaration in (*file.of_kind("param"), *file.of_kind("var"))
        if declaration.name not in used
    ]


def _declares(node: Node) -> bool:
    """Return whether an identifier declares a name or a property instead of using one."""
    parent = node.parent
    if parent is None or not (parent.type.endswith("_declaration") or parent.type == "object_property"):
        return False
    return next(child for child in parent.named_children if child.type == "identifier") == node


# Modules


def module_errors(files: dict[str, File]) -> list[str]:
    """Return modules that are not there, parameters they do not have or lack, and outputs they do not give."""
    return [complaint for file in files.values() for complaint in _module_errors(file, files)]


def _module_errors(file: File, files: dict[str, File]) -> Iterator[str]:
    for module in file.of_kind("module"):
        target = files.get(module.target)
        if target is None:
            yield f"{file.place(module.node)}: there is no {module.target}"
            continue
        if _is_of_the_subscription(file) and "scope" not in properties(module.body):
            yield f"{file.place(module.node)}: {module.name} needs a scope: its resources belong into a resource group"
        given = properties(properties(module.body)["params"])
        declared = {parameter.name: parameter for parameter in target.of_kind("param")}
        for name in given.keys() - declared.keys():
            yield f"{file.place(given[name])}: {module.target} has no parameter {name}"
        for name, parameter in declared.items():
            if name not in given and parameter.value is None:
                yield f"{file.place(module.node)}: {module.target} needs {name}"
            elif name in given and (kind := _kind(given[name], file)) not in (None, parameter.type):
                yield f"{file.place(given[name])}: {name} of {module.target} is {parameter.type}, not {kind}"
    for place, symbol, path in _references(file):
        if symbol.kind == "module" and path[:1] == ["outputs"]:
            target = files.get(symbol.target)
            if target is not None and len(path) > 1 and path[1] not in target.outputs:
                yield f"{place}: {symbol.target} has no output {path[1]}"


def _is_of_the_subscription(file: File) -> bool:
    return any(text(node) == "targetScope = 'subscription'" for node in file.root.children)


def _kind(node: Node, file: File) -> str | None:
    """Return the Bicep type of an expression where it is plain."""
    if node.type == "for_statement":
        return "array"
    node = innermost(node)
    value = literal(node)
    if value is not None:
        return {str: "string", int: "int", bool: "bool"}[type(value)]
    if node.type in ("string", "object", "array"):
        return node.type
    if node.type == "identifier" and (declared := file.named.get(text(node))) is not None:
        if declared.kind == "param":
            return declared.type
        if declared.kind == "var" and declared.value is not None:
            return _kind(declared.value, file)
    return None


def _references(file: File) -> Iterator[tuple[str, Declaration, list[str]]]:
    """Yield every `symbol.a.b` with its place, the declaration of the symbol and the path behind it."""
    return ((place, symbol, path) for place, symbol, path, _ in _places(file))


def _places(file: File) -> Iterator[tuple[str, Declaration, list[str], Node]]:
    """Yield what `_references` does, and where in the tree it stands."""
    for whole in walk(file.root):
        node = whole
        if node.type != "member_expression" or (node.parent and node.parent.type == "member_expression"):
            continue
        path: list[str] = []
        while node.type in (
            "member_expression",
            "subscript_expression",
            "parenthesized_expression",
            "ternary_expression",
        ):
            if node.type == "member_expression":
                path.insert(0, text(node.named_children[-1]))
            node = node.named_children[0]
        symbol = file.named.get(text(node)) if node.type == "identifier" else None
        if symbol is not None:
            yield file.place(node), symbol, path, whole


# What is made, and in which order


def circles(file: File) -> list[str]:
    """Return declarations that need themselves, through others or not: Azure Resource Manager has no first to make."""
    needs = {
        name: {text(node) for node in walk(declaration.node) if node.type == "identifier" and not _declares(node)}
        & file.named.keys()
        for name, declaration in file.named.items()
    }
    reached = {name: set(direct) for name, direct in needs.items()}
    for _ in needs:
        reached = {name: far | {last for one in far for last in needs[one]} for name, far in reached.items()}
    return [f"{file.place(file.named[name].node)}: {name} needs itself" for name, far in reached.items() if name in far]


def unguarded(file: File) -> list[str]:
    """Return reads of what is made under a condition only, outside of an expression that asks for that condition."""
    return [
        f"{place}: {symbol.name} may not be there"
        for place, symbol, _, node in _places(file)
        if (asked := _condition(symbol.value)) and not any(asked & found for found in _conditions_above(node))
    ]


def _condition(value: Node | None) -> frozenset[str]:
    """Return the names that the condition of an `if` or `? :` asks for, none of anything else."""
    if value is None or value.type not in ("if_statement", "ternary_expression"):
        return frozenset()
    return frozenset(text(node) for node in walk(operands(value)[0]) if node.type == "identifier") - FUNCTIONS


def _conditions_above(node: Node) -> Iterator[frozenset[str]]:
    above = node.parent
    while above is not None:
        yield _condition(above)
        above = above.parent


# Resources


def property_errors(file: File, types: dict[str, Any] | None = None) -> list[str]:
    """Return what the published types say against the resources of a file and against reads of their properties."""
    types = types or json.loads(TYPES.read_text(encoding="utf-8"))
    complaints = [complaint for resource in file.of_kind("resource") for complaint in _resource(file, resource, types)]
    for place, symbol, path in _references(file):
        if symbol.kind == "resource" and symbol.target in types:
            complaints += [f"{place}: {symbol.target} {wrong}" for wrong in _unreadable(path, types[symbol.target])]
    return complaints


def _resource(file: File, resource: Declaration, types: dict[str, Any]) -> Iterator[str]:
    if resource.target not in types:
        yield f"{file.place(resource.node)}: {resource.target} is not in types.json: {_EXTRACT}"
        return
    given = properties(resource.body)
    own = {name: value for name, value in given.items() if name not in RESOURCE_KEYS}
    expected = types[resource.target]
    if resource.existing:
        expected = {
            "properties": {name: [flags & ~REQUIRED, kind] for name, (flags, kind) in _members(expected).items()}
        }
    yield from _object(file, resource.body, own, expected, resource.target)


def _members(expected: dict[str, Any]) -> dict[str, Any]:
    members: dict[str, Any] = expected["properties"]
    return members


def _object(file: File, node: Node, given: dict[str, Node], expected: dict[str, Any], path: str) -> Iterator[str]:
    place = file.place(node)
    members = dict(_members(expected))
    if "discriminator" in expected:
        chosen = literal(given[expected["discriminator"]]) if expected["discriminator"] in given else None
        if chosen not in expected["variants"]:
            yield f"{place}: {path}.{expected['discriminator']} must be one of {', '.join(expected['variants'])}"
            return
        members |= _members(expected["variants"][chosen])
    for name, (flags, _) in members.items():
        if flags & REQUIRED and not flags & READ_ONLY and name not in given:
            yield f"{place}: {path} needs {name}"
    for name, value in given.items():
        if name in members:
            flags, kind = members[name]
            if flags & READ_ONLY:
                yield f"{file.place(value)}: {path}.{name} is read-only"
            else:
                yield from _value(file, value, kind, f"{path}.{name}")
        elif "additional" in expected:
            yield from _value(file, value, expected["additional"], f"{path}.{name}")
        else:
            yield f"{file.place(value)}: {path} has no property {name}"


def _value(file: File, node: Node, expected: Any, path: str) -> Iterator[str]:
    repeated = node.type == "for_statement"
    node = innermost(node)
    place = file.place(node)
    if repeated and isinstance(expected, dict) and "items" in expected:
        yield from _value(file, node, expected["items"], path)
    elif node.type == "ternary_expression":
        for branch in operands(node)[1:]:
            yield from _value(file, branch, expected, path)
    elif node.type == "object":
        if isinstance(expected, dict) and "properties" in expected:
            yield from _object(file, node, properties(node), expected, path)
        elif expected == "object":
            yield f"{place}: {path} is not opened in types.json: {_EXTRACT}"
        elif expected != "any":
            yield f"{place}: {path} is no object"
    elif node.type == "array":
        if isinstance(expected, dict) and "items" in expected:
            for item in operands(node):
                yield from _value(file, item, expected["items"], path)
        elif expected != "any":
            yield f"{place}: {path} is no array"
    elif node.type == "call_expression" and text(operands(node)[0]) in ("union", "concat"):
        for part in operands(operands(node)[1]):
            yield from _value(file, part, expected, path)
    elif node.type == "identifier" and (variable := variable_value(file, node)) is not None:
        yield from _value(file, variable, expected, path)
    else:
        yield from _plain(file, node, expected, path)


def variable_value(file: File, node: Node) -> Node | None:
    """Return what the variable that an identifier names stands for, None where it names none."""
    declared = file.named.get(text(node))
    return declared.value if declared is not None and declared.kind == "var" else None


def _plain(file: File, node: Node, expected: Any, path: str) -> Iterator[str]:
    kind, value = _kind(node, file), literal(node)
    if kind is None or expected == "any":
        return
    if isinstance(expected, dict) and "values" in expected:
        # Azure takes names in any case; the compiler warns, and so do we.
        if value is not None and value not in expected["values"]:
            yield f"{file.place(node)}: {path} must be one of {', '.join(map(str, expected['values']))}, not {value}"
    elif expected in ("string", "int", "bool") and kind != expected:
        yield f"{file.place(node)}: {path} is {expected}, not {kind}"


def _unreadable(path: list[str], expected: Any) -> Iterator[str]:
    for name in path:
        if not isinstance(expected, dict) or "properties" not in expected:
            return
        if name not in expected["properties"]:
            if "additional" not in expected and "discriminator" not in expected:
                yield f"has no property {name}"
            return
        expected = expected["properties"][name][1]


# App settings


def app_settings(file: File) -> set[str]:
    """Return the names of the app settings that a file's variable `settings` lists for every deployment."""
    listed = file.named["settings"].value
    return {str(literal(properties(item)["name"])) for item in operands(listed)} if listed is not None else set()


def setting_families(files: Iterable[File]) -> set[str]:
    """Return what the names of settings begin with that are set for each organization: `STORAGE_`."""
    return {match for file in files for match in re.findall(r"name: '([A-Z_]+_)\$\{", text(file.root))}


def families_read(paths: Iterable[Path]) -> set[str]:
    """Return the texts in code that begin the name of an organization's setting: whole, or before a field."""
    found = {
        node.value
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {value for value in found if re.fullmatch(r"([A-Z]{2,}_)+", value)}


def settings_read(paths: Iterable[Path]) -> set[str]:
    """Return the names that code reads from its environment: `environment.get("X")`, `_number(environment, "X", 1)`,
    `os.environ["X"]`.
    """
    found: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                function = node.func.value if isinstance(node.func, ast.Attribute) else None
                if any(_is_environment(part) for part in (function, *node.args) if part is not None):
                    found.update(filter(None, (_setting_name(argument) for argument in node.args)))
            elif isinstance(node, ast.Subscript) and _is_environment(node.value):
                found.update(filter(None, [_setting_name(node.slice)]))
    return found


def _is_environment(node: Any) -> bool:
    return getattr(node, "id", getattr(node, "attr", "")) in ("environ", "environment")


def _setting_name(node: Any) -> str | None:
    value = getattr(node, "value", None)
    return value if isinstance(value, str) and re.fullmatch(r"[A-Z][A-Za-z0-9_]+", value) else None
