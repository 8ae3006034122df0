"""Bicep files as syntax trees: declarations, objects and the expressions in them.

The grammar is tree-sitter-bicep's; the compiler itself is not to be had as a Python or npm package.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tree_sitter
import tree_sitter_bicep
from tree_sitter import Node

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))

_KINDS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
}


@dataclass(frozen=True)
class Declaration:
    """A named part of a file: `kind` is its keyword, `value` its expression (None where a parameter has no default)."""

    kind: str
    name: str
    node: Node
    value: Node | None

    @property
    def existing(self) -> bool:
        """Whether a resource is only referred to."""
        return any(child.type == "existing" for child in self.node.children)

    @property
    def target(self) -> str:
        """The type of a resource (`Microsoft.Web/sites@2024-11-01`), or the file of a module."""
        literal = next(child for child in self.node.named_children if child.type == "string")
        return text(literal).strip("'")

    @property
    def type(self) -> str:
        """The declared type of a parameter or output."""
        return text(next(child for child in self.node.named_children if child.type == "type"))

    @property
    def body(self) -> Node:
        """The object of a resource or module, below `if` and `for`."""
        return innermost(self.value) if self.value is not None else self.node


@dataclass(frozen=True)
class File:
    """A parsed file: its declarations by name, outputs apart (they may share a name with a parameter)."""

    path: Path
    root: Node
    named: dict[str, Declaration]
    outputs: dict[str, Declaration]

    def of_kind(self, kind: str) -> list[Declaration]:
        """Return the declarations with this keyword."""
        return [declaration for declaration in self.named.values() if declaration.kind == kind]

    def place(self, node: Node) -> str:
        """Return `file:line` of a node."""
        return f"{self.path.name}:{node.start_point[0] + 1}"


def parse(path: Path, source: str | None = None) -> File:
    """Parse a file, or `source` in its place."""
    root = _PARSER.parse((path.read_text(encoding="utf-8") if source is None else source).encode()).root_node
    named: dict[str, Declaration] = {}
    outputs: dict[str, Declaration] = {}
    for node in root.children:
        if node.type in _KINDS:
            declaration = _declaration(node)
            (outputs if declaration.kind == "output" else named)[declaration.name] = declaration
    return File(path, root, named, outputs)


def _declaration(node: Node) -> Declaration:
    kind = _KINDS[node.type]
    identifier, *rest = node.named_children
    skipped = {"param": 1, "output": 1, "resource": 1, "module": 1, "var": 0}[kind]
    values = [child for child in rest if child.type not in ("decorators", "comment")][skipped:]
    return Declaration(kind, text(identifier), node, values[-1] if values else None)


def text(node: Node) -> str:
    """Return the source of a node."""
    return (node.text or b"").decode()


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def operands(node: Node) -> list[Node]:
    """Return the parts of an expression without comments."""
    return [child for child in node.named_children if child.type != "comment"]


def innermost(node: Node) -> Node:
    """Return what `if`, `for` and parentheses stand around."""
    while node.type in ("if_statement", "for_statement", "parenthesized_expression"):
        node = operands(node)[-1]
    return node


def properties(node: Node) -> dict[str, Node]:
    """Return the properties of an object literal; raise ValueError where one stands twice."""
    found: dict[str, Node] = {}
    for child in node.named_children:
        if child.type != "object_property":
            continue
        key, *rest = operands(child)
        name = text(key).strip("'")
        if name in found:
            raise ValueError(f"{name} stands twice")
        found[name] = rest[-1]
    return found


def literal(node: Node) -> str | int | bool | None:
    """Return the value of a plain literal, None of anything else."""
    if node.type == "string" and not any(child.type == "interpolation" for child in node.children):
        return text(node)[1:-1]
    if node.type == "number":
        return int(text(node))
    if node.type == "boolean":
        return text(node) == "true"
    return None
