"""Which part of an HTML document is SVG or MathML: there, CDATA exists and `<title>` or `<style>` hold markup."""

from collections import Counter
from collections.abc import Collection

_ROOTS = frozenset({"svg", "math"})
_SVG_INTEGRATION_POINTS = frozenset({"foreignobject", "desc", "title"})
_MATH_INTEGRATION_POINTS = frozenset({"mi", "mo", "mn", "ms", "mtext"})
# Start tags that no SVG or MathML contains: a parser closes the foreign content and goes on in HTML (HTML Standard
# 13.2.6.5).
_BREAKOUT = frozenset(
    (
        "b",
        "big",
        "blockquote",
        "body",
        "br",
        "center",
        "code",
        "dd",
        "div",
        "dl",
        "dt",
        "em",
        "embed",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "head",
        "hr",
        "i",
        "img",
        "li",
        "listing",
        "menu",
        "meta",
        "nobr",
        "ol",
        "p",
        "pre",
        "ruby",
        "s",
        "small",
        "span",
        "strong",
        "strike",
        "sub",
        "sup",
        "table",
        "tt",
        "u",
        "ul",
        "var",
    )
)


class ForeignContent:
    """The open SVG and MathML elements. A state and not a function: a tokenizer asks it tag by tag, almost always in
    vain.

    HTML elements are only counted by name, not arranged in a tree: enough to tell whether an end tag closes one of them
    around the picture, and the picture with it.
    """

    def __init__(self) -> None:
        self._open: list[tuple[str, str, bool]] = []
        self._names: Counter[str] = Counter()
        self._html: Counter[str] = Counter()

    @property
    def is_current(self) -> bool:
        """The innermost open element is SVG or MathML."""
        return bool(self._open)

    def concerns(self, name: str) -> bool:
        """The namespace of a start tag is not obvious: `open` wants to know more of it."""
        return bool(self._open) or name in _ROOTS

    def open(self, name: str, attribute_names: Collection[str] = (), *, self_closing: bool = False) -> str:
        """Takes a start tag into account; returns its namespace: "html", "svg" or "math"."""
        if self._open and (
            name in _BREAKOUT or (name == "font" and not {"color", "face", "size"}.isdisjoint(attribute_names))
        ):
            self._break_out()
        namespace = self._namespace(name)
        if namespace == "html":
            self._html[name] += 1
        elif not self_closing:
            self._open.append((name, namespace, _is_integration_point(name, namespace, attribute_names)))
            self._names[name] += 1
        return namespace

    def close(self, name: str) -> None:
        """Takes an end tag into account."""
        if self._names[name] > 0:
            while self._pop() != name:
                pass
        elif name in {"br", "p"}:
            self._break_out()
        elif self._html[name] > 0:
            self._html[name] -= 1
            # These two end the body for later tags only; what is open in it stays so.
            if name not in {"body", "html"}:
                self._break_out()

    def _break_out(self) -> None:
        while self._open and not self._open[-1][2]:
            self._pop()

    def _namespace(self, name: str) -> str:
        if not self._open:
            return name if name in _ROOTS else "html"
        parent, namespace, integration_point = self._open[-1]
        if namespace == "math" and parent == "annotation-xml" and name == "svg":
            return "svg"
        if not integration_point:
            return namespace
        if parent in _MATH_INTEGRATION_POINTS and name in {"mglyph", "malignmark"}:
            return "math"
        return name if name in _ROOTS else "html"

    def _pop(self) -> str:
        name = self._open.pop()[0]
        self._names[name] -= 1
        return name


def _is_integration_point(name: str, namespace: str, attribute_names: Collection[str]) -> bool:
    if namespace == "svg":
        return name in _SVG_INTEGRATION_POINTS
    return name in _MATH_INTEGRATION_POINTS or (name == "annotation-xml" and "encoding" in attribute_names)
