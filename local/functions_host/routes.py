"""Route templates as ASP.NET Core reads them, which is what routes an Azure function.

Source: learn.microsoft.com/aspnet/core/fundamentals/routing (templates and constraints) and the routing that the
Functions host uses: literals ignore case, a trailing slash does not matter, the first route registered that matches
path and method wins.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_to_bytes
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Parameter:
    """A placeholder of a template: name, whether it may be absent, its default, what its value must satisfy."""

    name: str
    default: str | None = None
    checks: tuple[Callable[[str], bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Route[T]:
    """A template made ready: which paths it matches, for which methods (empty: any), and where it leads."""

    pattern: re.Pattern[str]
    parameters: tuple[Parameter, ...]
    methods: frozenset[str]
    target: T
    first_literal: str | None
    """The template's first segment in lower case when it has no placeholder, else None."""

    def match(self, path: str) -> dict[str, str] | None:
        """Return the route parameters when the path matches; a catch-all that matched nothing is left out."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        values: dict[str, str] = {}
        for parameter, value in zip(self.parameters, found.groups(), strict=True):
            text = value or parameter.default
            if text is None:
                continue
            for check in parameter.checks:
                if not check(text):
                    return None
            values[parameter.name] = text
        return values


class Router[T]:
    """Routes in order of registration; looks only at those whose first segment can match."""

    def __init__(self, routes: Iterable[Route[T]], reserved: Iterable[str] = ()) -> None:
        """`reserved` are first segments, in lower case, that no route gets."""
        self._routes = tuple(routes)
        literals = {route.first_literal for route in self._routes if route.first_literal is not None}
        self._by_literal = {literal: self._starting_with(literal) for literal in literals}
        self._by_literal.update((segment, ()) for segment in reserved)
        self._open = self._starting_with(None)

    def _starting_with(self, literal: str | None) -> tuple[Route[T], ...]:
        return tuple(route for route in self._routes if route.first_literal in (None, literal))

    def find(self, method: str, path: str) -> tuple[T, Mapping[str, str]] | None:
        """Return target and route parameters of the first route for this method and path (as `decode_path` gives)."""
        end = path.find("/", 1)
        first = path[1:] if end < 0 else path[1:end]
        for route in self._by_literal.get(first.lower(), self._open):
            if route.methods and method not in route.methods:
                continue
            if (values := route.match(path)) is not None:
                return route.target, values
        return None


def compile_route[T](template: str, methods: Iterable[str], target: T) -> Route[T]:
    """Make a route of a template such as `o/{*rest}`. Raises ValueError when the template is not understood."""
    parameters: list[Parameter] = []
    pattern = ""
    segments = [segment for segment in split_segments(template) if segment]
    for segment in segments:
        pattern += _segment_pattern(segment, parameters)
    return Route(
        pattern=re.compile(pattern + "/?", re.IGNORECASE | re.DOTALL),
        parameters=tuple(parameters),
        methods=frozenset(method.upper() for method in methods),
        target=target,
        first_literal=segments[0].lower() if segments and "{" not in segments[0] else None,
    )


def split_segments(template: str) -> list[str]:
    """Split a template at the slashes that are not inside braces (a regex constraint may hold one)."""
    return re.findall(r"(?:\{(?:\{\{|\}\}|[^{}])*\}|[^/])+", template)


_PLACEHOLDER = re.compile(r"\{((?:\{\{|\}\}|[^{}])*)\}")


def _segment_pattern(segment: str, parameters: list[Parameter]) -> str:
    pieces = _PLACEHOLDER.split(segment)
    if any("{" in literal or "}" in literal for literal in pieces[::2]):
        raise ValueError(f"route segment {segment!r}: unbalanced braces")
    if len(pieces) == 3 and not pieces[0] and not pieces[2]:
        catch_all = pieces[1].startswith("*")
        parameter, optional = _parameter(pieces[1].lstrip("*"))
        parameters.append(parameter)
        if catch_all:
            return "(?:/(.*))?"
        return "(?:/([^/]+))?" if optional or parameter.default is not None else "/([^/]+)"
    pattern = "/"
    for position, piece in enumerate(pieces):
        if position % 2:
            parameters.append(_parameter(piece)[0])
            pattern += "([^/]+)"
        else:
            pattern += re.escape(piece)
    return pattern


def _parameter(text: str) -> tuple[Parameter, bool]:
    """Read `name:constraint(argument)=default` or `name?`; the second value says whether it may be absent."""
    match = re.fullmatch(r"([^:=?]+)((?::\w+(?:\((?:[^()]|\([^()]*\))*\))?)*)(=.*|\?)?", text)
    if match is None:
        raise ValueError(f"route parameter {text!r} is not understood")
    name, constraints, ending = match.groups()
    checks = tuple(
        _check(kind, argument) for kind, argument in re.findall(r":(\w+)(?:\(((?:[^()]|\([^()]*\))*)\))?", constraints)
    )
    default = ending[1:] if ending and ending.startswith("=") else None
    return Parameter(name, default, checks), ending == "?"


def _parses(convert: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            convert(text)
        except ValueError:
            return False
        return True

    return check


def _whole(bits: int) -> Callable[[str], bool]:
    limit = 1 << bits - 1
    return lambda text: re.fullmatch(r"[-+]?[0-9]{1,20}", text) is not None and -limit <= int(text) < limit


def _between(low: float, high: float) -> Callable[[str], bool]:
    whole = _whole(64)
    return lambda text: whole(text) and low <= int(text) <= high


def _check(kind: str, argument: str) -> Callable[[str], bool]:
    """Return the test of a constraint. Raises ValueError for one that ASP.NET Core does not know."""
    number = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")
    simple: dict[str, Callable[[str], bool]] = {
        "int": _whole(32),
        "long": _whole(64),
        "bool": lambda text: text.lower() in ("true", "false"),
        "guid": _parses(UUID),
        "datetime": _parses(datetime.fromisoformat),
        "alpha": lambda text: re.fullmatch("[A-Za-z]*", text) is not None,
        "decimal": lambda text: number.fullmatch(text) is not None,
        "double": lambda text: number.fullmatch(text) is not None,
        "float": lambda text: number.fullmatch(text) is not None,
        "required": bool,
    }
    if kind in simple:
        return simple[kind]
    if kind == "regex":
        pattern = re.compile(argument.replace("{{", "{").replace("}}", "}").replace("\\\\", "\\"), re.IGNORECASE)
        return lambda text: pattern.search(text) is not None
    bounds = [int(bound) for bound in argument.split(",")] if argument else []
    match kind, bounds:
        case "min", [low]:
            return _between(low, float("inf"))
        case "max", [high]:
            return _between(float("-inf"), high)
        case "range", [low, high]:
            return _between(low, high)
        case "minlength", [low]:
            return lambda text: len(text) >= low
        case "maxlength", [high]:
            return lambda text: len(text) <= high
        case "length", [exact]:
            return lambda text: len(text) == exact
        case "length", [low, high]:
            return lambda text: low <= len(text) <= high
    raise ValueError(f"route constraint {kind!r} is not known")


_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def decode_path(raw: bytes) -> str:
    """Return the request path as Azure's front end (Kestrel) gives it to routing and so to `route_params`.

    Percent-encoded UTF-8 is decoded once. An encoded slash stays `%2F`, so that a segment cannot fall apart, and what
    is not UTF-8 stays encoded. Dot segments are resolved after decoding. Raw control characters and bytes above 127
    never get here: the HTTP parser refuses them with 400, as Kestrel does. An encoded NUL, which Kestrel refuses too,
    stays encoded.
    """
    path = raw.decode("latin-1")
    if "%" in path:
        path = _ENCODED.sub(_decode_run, path)
    return _resolve_dots(path) if "/." in path else path


def _decode_run(match: re.Match[str]) -> str:
    decoded = unquote_to_bytes(match[0]).decode("utf-8", "surrogateescape")
    return "".join(map(_keep_encoded, decoded))


def _keep_encoded(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"%{ord(character) - 0xDC00:02X}"
    return f"%{ord(character):02X}" if character in "/\0" else character


def _resolve_dots(path: str) -> str:
    """Remove dot segments (RFC 3986 section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for position, segment in enumerate(segments):
        last = position == len(segments) - 1
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
            continue
        if last:
            kept.append("")
    return "/" + "/".join(kept)
