"""What the outputs of a checkpoint or an exported file mean: what stands in it, against what the configuration says."""

import dataclasses
import functools
import logging
import os
from collections.abc import Sequence
from typing import Any

from ..checkpoint import checkpoint_facts
from ..config import Config
from ..config.definition import differences, other_fusion, typed, usual_definition
from ..errors import UserError
from ..inference.backends import SUFFIXES, check_facts, read_metadata

logger = logging.getLogger(__name__)

SHOWN = 8  # names that a message lists


def stated_facts(cfg: Config) -> dict[str, Any]:
    """What the file at `cfg.checkpoint_path` says of itself. UserError where it is of another kind, or another task."""
    path = cfg.checkpoint_path
    for backend, suffix in SUFFIXES.items():
        if cfg.backend == "mindspore" and path.lower().endswith(suffix):
            raise UserError(f"{path} is an exported file: run it with --backend {backend}")
    facts = _read(path, cfg.backend, os.stat(path).st_mtime_ns) if os.path.isfile(path) else {}
    if facts.get("task") not in (None, cfg.task):
        raise UserError(f"{path} is of task {facts['task']}, but the configuration has task {cfg.task}")
    return facts


def in_batches(cfg: Config, facts: dict[str, Any]) -> Config:
    """The configuration with batches as long as an exported file takes them, where nobody has typed another length.

    facts: what the file says of itself.
    """
    if cfg.backend == "mindspore" or "test_batch_size" in cfg.typed:
        return cfg
    images = facts.get("batch") or 1
    return dataclasses.replace(cfg, test_batch_size=images) if images > cfg.test_batch_size else cfg


def tell_definition(cfg: Config, path: str, sections: Sequence[str], is_whole: bool = True) -> None:
    """Warn where the weights at `path` are of a network that computes something else than the configured one.

    sections: of the configuration, of which its task builds networks. is_whole: all of these weights are used, not the
    backbone's alone. A file that does not say is of a version that had no choice, or of a project that does the usual.
    """
    if not os.path.isfile(path):
        return  # which is said where it is loaded
    theirs = _read(path, "mindspore", os.stat(path).st_mtime_ns).get("definition")
    if not isinstance(theirs, dict):
        theirs = usual_definition(sections if is_whole else ("backbone",))
    if fusion := other_fusion(theirs, cfg, sections):
        logger.warning("%s has the weights of a segmentation network: %s; the outputs differ much", path, fusion)
    for key, ours, value in differences(theirs, cfg, sections):
        logger.warning(
            "%s is %s in the configuration, but the weights of %s are of a network with %s: the outputs differ much; "
            "run with --%s %s",
            key, ours, path, value, key, typed(value),
        )  # fmt: skip


def matched_classes(
    own: Sequence[str], wanted: Sequence[str], path: str, may_be_fewer: bool = False, hint: str = ""
) -> None:
    """Say how the classes `own` of the file at `path` are the configuration's, `wanted`, in another order.

    UserError with both lists where they are others; fewer of them are taken with `may_be_fewer`, which `hint` tells.
    """
    missing = [name for name in wanted if name not in own]
    unknown = [name for name in own if name not in wanted]
    if unknown or (missing and not may_be_fewer):
        parts = [f"only the file has {_list(unknown)}"] if unknown else []
        parts += [f"the file lacks {_list(missing)}"] if missing else []
        parts += [hint] if hint and not unknown else []
        raise UserError(
            f"{path} has the classes {_list(own)}, but the configuration has {_list(wanted)}: {'; '.join(parts)}"
        )
    if missing:
        logger.info("%s lacks %s: it is evaluated on the %d classes that it knows", path, _list(missing), len(own))
    else:
        logger.info("%s has the configuration's classes in another order: they are matched by name", path)


def say_unnamed(path: str) -> None:
    logger.info("%s does not name its classes: they are taken to be the configuration's, in its order", path)


@functools.lru_cache(maxsize=1)
def _read(path: str, backend: str, changed: int) -> dict[str, Any]:
    """changed: when the file was written, so that another one of the same name is read anew."""
    facts = checkpoint_facts(path) if backend == "mindspore" else read_metadata(path, backend)
    check_facts(facts, path)
    return facts


def _list(names: Sequence[str]) -> str:
    more = f", ... {len(names)} in all" if len(names) > SHOWN else ""
    return f"[{', '.join(names[:SHOWN])}{more}]"
