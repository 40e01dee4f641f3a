"""Configuration files as plain mappings: three YAML documents, merged over the files of `_base_`."""

from collections.abc import Callable
from pathlib import Path

import yaml

from ..errors import UserError
from ..files import RUN_FORMAT, require_readable


def read_file(
    path: Path, check: Callable[[dict, Path], None] | None = None, chain: tuple[Path, ...] = ()
) -> tuple[dict, dict, dict]:
    """Values, help texts and choices of a file merged over those of its `_base_` (one or a list: later ones win).

    check: called with each file's own values, before they are merged. chain: the files that this one is a base of.
    UserError for a file that is no configuration, or a run's of a newer version.
    """
    if path.resolve() in chain:
        raise UserError(f"{path}: _base_ leads back to this file")
    try:
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), _Loader))
    except FileNotFoundError:
        raise UserError(f"configuration file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"configuration file {path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise UserError(f"{path}{line}: not valid YAML: {problem}") from None
    documents = documents[:1] + [{} if document is None else document for document in documents[1:]]
    if not documents or len(documents) > 3 or not all(isinstance(document, dict) for document in documents):
        raise UserError(f"{path}: expected one mapping of keys to values, or three documents: values, help, choices")
    documents += [{}] * (3 - len(documents))
    require_readable(documents[0].pop("_format_", None), RUN_FORMAT, path)
    bases = documents[0].pop("_base_", None) or []
    if check:
        check(documents[0], path)
    inherited = [{}, {}, {}]
    for base in bases if isinstance(bases, list) else [bases]:
        above = read_file(path.parent / str(base), check, (*chain, path.resolve()))
        inherited = [_merge(*pair) for pair in zip(inherited, above)]
    values, helps, choices = (_merge(*pair) for pair in zip(inherited, documents))
    return values, helps, choices


def _merge(below: dict, above: dict) -> dict:
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merge(merged[name], value) if both else value
    return merged


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses a key given twice."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            name = key_node.value
            if isinstance(name, str) and name in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{name}' is given twice", problem_mark=key_node.start_mark)
            seen.add(name if isinstance(name, str) else id(key_node))
        return super().construct_mapping(node, deep)
