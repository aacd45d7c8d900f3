"""Puts probes into Solidity sources, so that a run tells which statements and branches it came through.

A probe is a call with no gas to an address that stands for the place and has no code: it changes nothing, costs only
gas, survives in views and in calls that revert, and a trace of the state that was read lists each address once.

    ++count;                 becomes   coverP3(41);++count;
    if (count > most) {      becomes   if (coverQ3(count > most, 42)) {

`coverQ3` gives the condition back; its probe is 42 if it held and 43 if it did not. Branches are what `if`, `while`,
`for`, `?:`, `require` and `assert` decide, and which clause of a `try` follows. `a && b` decides nothing by itself, and
an assembly block counts as one statement, whatever is in it. Code with probes reads the chain, so `pure` becomes
`view`; a source that needs a `pure` function (a user-defined operator does) can't be instrumented.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Node = dict[str, Any]

FIRST_ADDRESS = 0xC0FFEE << 128
"""Address of probe 0."""

GROUPS = ("Block", "UncheckedBlock")
NOT_COUNTED = (*GROUPS, "PlaceholderStatement")
CONDITIONS = {
    "IfStatement": "condition",
    "WhileStatement": "condition",
    "DoWhileStatement": "condition",
    "ForStatement": "condition",
    "Conditional": "condition",
}
BODIES = {
    "IfStatement": ("trueBody", "falseBody"),
    "WhileStatement": ("body",),
    "DoWhileStatement": ("body",),
    "ForStatement": ("body",),
}
HELPERS = """
function coverP{file}(uint256 probe) view {{
    assembly ("memory-safe") {{
        pop(staticcall(0, add({first}, probe), 0, 0, 0, 0))
    }}
}}

function coverQ{file}(bool condition, uint256 probe) view returns (bool) {{
    coverP{file}(condition ? probe : probe + 1);
    return condition;
}}
"""


@dataclass(frozen=True)
class Probe:
    """A place in a source. side: None for a statement, else which way a branch goes."""

    path: str
    line: int
    side: str | None


class Instrumenter:
    """Rewrites one source after another; `probes` says what each probe's number stands for.

    A source comes with its syntax tree as solc gives it, already after parsing.
    """

    def __init__(self) -> None:
        self.probes: list[Probe] = []
        self._files = 0

    def with_probes(self, path: str, source: bytes, tree: Node) -> bytes:
        """The source with probes, and `pure` relaxed."""
        edits = _Edits(source)
        for node in _nodes(tree):
            self._mark(path, edits, node)
        _relax(edits, tree)
        helpers = HELPERS.format(file=self._files, first=hex(FIRST_ADDRESS))
        self._files += 1
        return edits.applied() + helpers.encode()

    def _mark(self, path: str, edits: "_Edits", node: Node) -> None:
        kind = node["nodeType"]
        for statement in _statements(node):
            if statement["nodeType"] not in NOT_COUNTED:
                self._mark_statement(path, edits, statement)
        for key in BODIES.get(kind, ()):
            if node.get(key) and node[key]["nodeType"] not in GROUPS:
                edits.enclose(node[key])
                self._mark_statement(path, edits, node[key])
        if condition := _condition(node):
            first = self._new(path, edits, condition, "true", "false")
            edits.wrap(condition, f"coverQ{self._files}(", f", {first})")
        if kind == "TryCatchClause":
            first = self._new(path, edits, node["block"], "clause")
            edits.insert(edits.start(node["block"]) + 1, f"coverP{self._files}({first});")

    def _mark_statement(self, path: str, edits: "_Edits", statement: Node) -> None:
        number = self._new(path, edits, statement, None)
        edits.insert(edits.start(statement), f"coverP{self._files}({number});")

    def _new(self, path: str, edits: "_Edits", node: Node, *sides: str | None) -> int:
        first = len(self.probes)
        self.probes += [Probe(path, edits.line(node), side) for side in sides]
        return first


def relaxed(source: bytes, tree: Node) -> bytes:
    """The source without probes, but calling what has some."""
    edits = _Edits(source)
    _relax(edits, tree)
    return edits.applied()


def _relax(edits: "_Edits", tree: Node) -> None:
    for node in _nodes(tree):
        if node["nodeType"] == "FunctionDefinition" and node["stateMutability"] == "pure":
            edits.relax(node)


def _nodes(node: Any) -> Iterator[Node]:
    """Every node of the tree, outer ones first."""
    if isinstance(node, list):
        for child in node:
            yield from _nodes(child)
    elif isinstance(node, dict):
        if "nodeType" in node and not node["nodeType"].startswith("Yul"):
            yield node
        for child in node.values():
            yield from _nodes(child)


def _statements(node: Node) -> list[Node]:
    return (node["statements"] or []) if node["nodeType"] in GROUPS else []


def _condition(node: Node) -> Node | None:
    """The expression that decides a branch at this node."""
    if key := CONDITIONS.get(node["nodeType"]):
        found: Node | None = node.get(key)
        return found
    if node["nodeType"] == "FunctionCall" and node["expression"].get("name") in ("require", "assert"):
        argument: Node = node["arguments"][0]
        return argument
    return None


class _Edits:
    """Insertions into a source, by byte offset as solc counts them."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._inserted: list[tuple[int, int, int, str]] = []
        self._pure: list[int] = []

    def start(self, node: Node) -> int:
        return int(node["src"].split(":")[0])

    def end(self, node: Node) -> int:
        return self.start(node) + int(node["src"].split(":")[1])

    def line(self, node: Node) -> int:
        return self._source.count(b"\n", 0, self.start(node)) + 1

    def insert(self, at: int, text: str) -> None:
        self._inserted.append((at, 2, 0, text))

    def wrap(self, node: Node, before: str, after: str) -> None:
        """Of two that start or end together, the longer goes outside."""
        length = self.end(node) - self.start(node)
        self._inserted.append((self.start(node), 3, -length, before))
        self._inserted.append((self.end(node), 0, length, after))

    def enclose(self, statement: Node) -> None:
        """Braces around a statement that has none; its semicolon is not part of its node."""
        end = self.end(statement)
        rest = self._source[end:]
        if rest.lstrip().startswith(b";"):
            end += len(rest) - len(rest.lstrip()) + 1
        self._inserted.append((self.start(statement), 1, 0, "{"))
        self._inserted.append((end, 0, 0, "}"))

    def relax(self, function: Node) -> None:
        """`pure` becomes `view`: the last one before the body, where the parameters' names are over."""
        body = function.get("body")
        end = self.start(body) if body else self.end(function)
        *_, last = re.finditer(rb"\bpure\b", self._source[self.start(function) : end])
        self._pure.append(self.start(function) + last.start())

    def applied(self) -> bytes:
        source = bytearray(self._source)
        for at in self._pure:
            source[at : at + 4] = b"view"
        for at, _, _, text in sorted(self._inserted, reverse=True, key=lambda edit: edit[:3]):
            source[at:at] = text.encode()
        return bytes(source)
