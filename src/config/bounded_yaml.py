"""YAML that does no more than a configuration needs: nothing that grows when it is read, no objects, no surprises."""

from collections.abc import Iterator
from typing import Any

import yaml

from ..errors import UserError, plain, short

MOST_BYTES = 2**21  # of a file: 100,000 class names
MOST_PARTS = 500_000  # keys and values, each anchor as often as it is named
LEVELS = 40  # mappings and lists in one another
TOO_DEEP = f"more than {LEVELS} mappings and lists in one another, or one that holds itself"
LONGEST_NUMBER = 1000  # characters
TAGS = {
    yaml.ScalarNode: ("str", "int", "float", "bool", "null", "timestamp", "merge", "value"),
    yaml.SequenceNode: ("seq",),
    yaml.MappingNode: ("map",),
}
NUMBERS = ("int", "float", "timestamp")
PREFIX = "tag:yaml.org,2002:"


def read_documents(text: str, source: object) -> list[Any]:
    """The values of every document. UserError, naming `source` and the line, for what is none or too much."""
    try:
        return list(_documents(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise UserError(f"{source}{line}: not valid YAML: {plain(problem, 120)}") from None


def read_value(text: str) -> Any:
    """The value of a text on the command line. UserError, which does not name it, where it is none."""
    documents = read_documents(text, "value")
    if len(documents) > 1:
        raise UserError("more than one document")
    return documents[0] if documents else None


def _documents(text: str) -> Iterator[Any]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            _require_bounded(node)
            try:
                yield loader.construct_document(node)
            except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:  # `!!int x`, 2024-13-45
                raise yaml.MarkedYAMLError(
                    problem=f"a value is not what it says it is ({plain(str(error))})", problem_mark=node.start_mark
                ) from None
    finally:
        loader.dispose()


def _require_bounded(root: yaml.Node) -> None:
    """Raise for a tree of too many parts or levels, counted before anything is built, and for values of odd kinds."""
    counted: dict[int, int] = {}

    def count(node: yaml.Node, level: int) -> int:
        if id(node) in counted:
            return counted[id(node)]
        if level > LEVELS:
            raise _problem(node, TOO_DEEP)
        _require_plain(node)
        parts = 1
        if not isinstance(node, yaml.ScalarNode):
            pairs = isinstance(node, yaml.MappingNode)
            for child in node.value:
                parts += sum(count(one, level + 1) for one in child) if pairs else count(child, level + 1)
        if parts > MOST_PARTS:
            raise _problem(
                node, f"more than {MOST_PARTS:,} keys and values, anchors counted as often as they are named"
            )
        counted[id(node)] = parts
        return parts

    count(root, 1)


def _require_plain(node: yaml.Node) -> None:
    tag = node.tag.removeprefix(PREFIX)
    if tag not in TAGS[type(node)]:
        shown = f"!!{tag}" if node.tag.startswith(PREFIX) else node.tag
        raise _problem(node, f"a configuration has no values of the kind {plain(shown)}")
    if tag in NUMBERS and len(node.value) > LONGEST_NUMBER:
        raise _problem(node, f"a number of {len(node.value)} characters")


def _problem(node: yaml.Node, text: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses a key given twice, and many levels before they are read: its time is their square."""

    def fetch_flow_collection_start(self, kind: type) -> None:
        self._require_level(self.flow_level)
        super().fetch_flow_collection_start(kind)

    def add_indent(self, column: int) -> bool:
        self._require_level(len(self.indents))
        return super().add_indent(column)

    def _require_level(self, level: int) -> None:
        if level > LEVELS:
            raise yaml.MarkedYAMLError(problem=TOO_DEEP, problem_mark=self.get_mark())

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            name = key_node.value
            if isinstance(name, str) and name in seen:
                raise _problem(key_node, f"key {short(name)} is given twice")
            seen.add(name if isinstance(name, str) else id(key_node))
        return super().construct_mapping(node, deep)
