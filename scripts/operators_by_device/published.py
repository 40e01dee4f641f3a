"""On which devices MindSpore publishes an operator: "Supported Platforms" in the docstrings of the installed wheel."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

DEVICES = ("Ascend", "GPU", "CPU")
_HEADING = re.compile(r"Supported Platforms:[ \t]*\n(?:[ \t]*\n)*[ \t]*(.+)")
_REFERRED = re.compile(r"mindspore\.(?:(?:ops|mint|nn)\.)(?:function\.\w+\.|functional\.|nn\.functional\.)?(\w+)")
_EQUIVALENT = re.compile(r"is equivalent to\s*\n(?:\s*\n)*\s*\.\. code-block::\s*\n(?:\s*\n)*\s*ops\.(\w+)\(")
# Operators without a docstring that says it: the documented one whose work they do. Endings go by themselves.
WORKS_AS = {
    "AddScalar": "add", "AllFinite": "amp.all_finite", "Conv2DBackpropFilter": "Conv2D",
    "Conv2DBackpropInput": "Conv2D", "MatMulExt": "matmul", "Muls": "mul", "SplitWithSize": "split",
}  # fmt: skip
_ENDINGS = re.compile(r"(GradGrad|Grad|Backward|Ext|View|V2|V3|D|Scalar|Tensor)+$")


@dataclass(frozen=True)
class Published:
    """devices: None where nothing says it. source: whose docstring does. own: whether that is the operator's own, or
    that of the function by which it is called; otherwise of the operator whose work, or whose gradient, this one is.
    """

    devices: tuple[str, ...] | None
    source: str = ""
    own: bool = True

    def mark(self, device: str) -> str:
        """'yes', 'no', 'yes*' and 'no*' (of another's docstring), or '?'."""
        if self.devices is None:
            return "?"
        return ("yes" if device in self.devices else "no") + ("" if self.own else "*")


def platforms(docstring: str | None) -> tuple[str, ...] | None:
    """The devices under "Supported Platforms"; () for "Deprecated", None where there is no such heading.

    >>> platforms("Adds.\\n\\nSupported Platforms:\\n    ``Ascend`` ``CPU``\\n")
    ('Ascend', 'CPU')
    """
    found = _HEADING.search(docstring or "")
    if found is None:
        return None
    return tuple(device for device in DEVICES if re.search(rf"\b{device}\b", found[1]))


def referred(docstring: str | None) -> list[str]:
    """Names of the functions that a docstring sends its reader to: "refer to", "is equivalent to"."""
    text = docstring or ""
    words = [line for line in text.splitlines() if re.search(r"[Rr]efer to", line)]
    return [*_EQUIVALENT.findall(text), *(name for line in words for name in _REFERRED.findall(line))]


def snake(name: str) -> str:
    """The function's name to a primitive's: ReduceMean -> reduce_mean, TopK -> topk."""
    spelled = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return {"top_k": "topk", "log_softmax": "log_softmax"}.get(spelled, spelled)


@functools.lru_cache
def published(name: str) -> Published:
    """What is published of the primitive of this name."""
    own = _of_names([name], follow=name not in WORKS_AS)
    if own:
        return Published(*own)
    called = name not in WORKS_AS and _of_names([snake(name)], follow=False)
    if called:
        return Published(*called)
    other = WORKS_AS.get(name) or _ENDINGS.sub("", name)
    found = _of_names([other, snake(other), other.lower()], follow=True)
    return Published(*found, own=False) if found else Published(None)


def _of_names(names: list[str], follow: bool) -> tuple[tuple[str, ...], str] | None:
    """The first docstring under one of the names that has devices, or one that it refers to."""
    for name in names:
        docstrings = list(_docstrings(name))
        for source, text in docstrings:
            devices = platforms(text)
            if devices:
                return devices, source
        others = [other for _, text in docstrings for other in referred(text) if other != name]
        found = _of_names(others, follow=False) if follow else None
        if found:
            return found
    return None


def _docstrings(name: str) -> Iterator[tuple[str, str]]:
    """(dotted name, text) of everything public that is called so, the primitives first."""
    for place in _places():
        value = place
        for part in name.split("."):
            value = getattr(value, part, None)
        if value is not None and getattr(value, "__doc__", None):
            yield f"{place.__name__}.{name}", value.__doc__


@functools.lru_cache
def _places() -> tuple:
    import mindspore
    from mindspore import mint, nn, ops
    from mindspore.ops import auto_generate, operations
    from mindspore.ops.auto_generate import gen_ops_def, gen_ops_prim

    inner = [getattr(operations, part) for part in ("_grad_ops", "_inner_ops", "nn_ops", "math_ops", "array_ops")]
    return operations, gen_ops_prim, *inner, ops, gen_ops_def, auto_generate, mint, nn, mindspore.Tensor, mindspore
