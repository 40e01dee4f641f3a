"""Values that the originals write as Python's text: `1/3.0`, `(28, 28)`, `dict(type='RoIAlign')`. Nothing is run."""

import ast
from typing import Any

LONGEST = 20_000  # characters of such a text
NAMES = {"None": None, "none": None, "True": True, "true": True, "False": False, "false": False}


def literal(text: str) -> Any:
    """The value of a text of numbers, fractions, texts, tuples (as lists), lists, dict(...) and {...}.

    ValueError for everything else.
    """
    if len(text) > LONGEST or "\0" in text:
        raise ValueError("no value")
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError, OverflowError, ZeroDivisionError):
        raise ValueError("no value") from None


def plain(value: Any) -> Any:
    """A value of a YAML file or command line as the originals mean it; a text that is no such value stays a text."""
    text = value
    if isinstance(value, list) and any(isinstance(one, str) for one in value):
        text = f"[{','.join(map(str, value))}]"  # YAML takes [(1, 2), (3, 4)] apart at each comma
    if not isinstance(text, str):
        return value
    try:
        return literal(text)
    except ValueError:
        return value


def _value(node: ast.AST) -> Any:
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
            return value
        case ast.Name(id=name) if name in NAMES:
            return NAMES[name]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            value = _number(operand)
            return -value if isinstance(sign, ast.USub) else value
        case ast.BinOp(op=ast.Div(), left=left, right=right):
            return _number(left) / _number(right)
        case ast.Tuple(elts=members) | ast.List(elts=members):
            return [_value(member) for member in members]
        case ast.Dict(keys=names, values=values) if all(isinstance(name, ast.Constant) for name in names):
            return {_value(name): _value(value) for name, value in zip(names, values)}
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=words) if all(word.arg for word in words):
            return {word.arg: _value(word.value) for word in words}
    raise ValueError("no value")


def _number(node: ast.AST) -> int | float:
    value = _value(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    return value
