"""What convert_weights.py does: another project's weights -> a checkpoint of the configured model."""

import contextlib
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn

from ..checkpoint import save_weights
from ..config import Config
from ..convert import expectations
from ..convert.changes import Layout
from ..convert.detect import choose_source
from ..convert.digest import check_name
from ..convert.engine import Conversion, convert, summary
from ..convert.read import ForeignFile, read_foreign
from ..convert.variant import check_variant
from ..convert.verify import verify
from ..errors import UserError
from ..process import runtime
from ..process.log_words import Words
from ..process.logs import start_logging
from ..reading import is_file
from ..tasks import TASKS
from .places import check_converted

logger = logging.getLogger(__name__)


def convert_file(cfg: Config, says_use: bool = True) -> Conversion:
    """Write `cfg.ckpt_path` from `cfg.pt_path`; every line of the account is logged.

    Nothing is written unless everything fits and, where `cfg.verify` names activations, agrees. An existing file is
    never replaced. says_use: also which commands take it, and how. UserError for wrong input.
    """
    start_logging()
    path = Path(cfg.ckpt_path)
    _check_target(path)
    check_converted(cfg)
    _check_name(cfg.pt_path)
    cfg = replace(cfg, device_target="CPU", mode="pynative", run_distribute=False)
    runtime.start(cfg, may_be_single=True)
    foreign = read_foreign(cfg.pt_path, cfg.pt_entry)
    source = choose_source(list(foreign.tensors), cfg.source, cfg.pt_path)
    logger.info("%s: %s%s", cfg.pt_path, source.title, f", from its entry '{foreign.entry}'" if foreign.entry else "")
    _tell_of_file(foreign)
    task = TASKS[cfg.task]
    model = task.build_model(cfg)
    shapes = {parameter.name: tuple(parameter.shape) for parameter in model.get_parameters()}
    check_variant(source, foreign.tensors, shapes, cfg.pt_path)
    done = convert(
        source,
        foreign.tensors,
        shapes,
        _layout(cfg, model),
        finetune=cfg.finetune,
        norm_eps=cfg.backbone.norm_cfg.eps,
        where=cfg.pt_path,
    )
    without = {*done.unset, *done.dropped, *done.other_heads}
    expected, warnings = expectations.compare(
        expectations.known_of(source, foreign), cfg, () if without else task.class_names(cfg)
    )
    for line in (*summary(done, len(foreign.tensors)), expected):
        logger.info(line)
    for line in (
        *warnings,
        *expectations.compare_definition(source, cfg, task.network_sections, bool(done.other_heads)),
    ):
        logger.warning(line)
    _set(model, done)
    if cfg.verify:
        for line in verify(source, model, cfg.verify, _missing_cells(done)):
            logger.info(line)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"ckpt_path {path}: its folder cannot be made ({error.strerror})") from None
    facts = {"source": source.name, "definition": expectations.definition_of(source, bool(done.other_heads))}
    save_weights(model, path, without=without, facts=facts if source.definition else None)
    use = _how_to_use(done, path) if says_use else ""
    logger.info("%d parameters written to %s%s", len(done.values), path, use)
    Words("conversion", cfg.log_style).log("converted")
    return done


def _layout(cfg: Config, model: nn.Cell) -> Layout:
    generator, masks = cfg.rpn.anchor_generator, cfg.mask_head
    return Layout(
        len(generator.scales),
        len(generator.ratios),
        model.class_layers,
        cfg.num_classes - 1 + int(masks.background_class),
        masks.background_class,
        masks.boxes == "likeliest",
        getattr(model, "starts_from", ()),
    )


def _check_target(path: Path) -> None:
    if path.suffix != ".ckpt":
        raise UserError(f"ckpt_path {path} must end with .ckpt, which is how MindSpore knows its checkpoints")
    if os.path.lexists(path):
        raise UserError(f"ckpt_path {path} exists already; give another name or remove it first")


def _check_name(path: str) -> None:
    """Say what the digits in the file's name mean for it; what else is wrong with it is said where it is read."""
    with contextlib.suppress(OSError):
        proof, doubt = check_name(path) if is_file(path) else ("", "")
        if proof:
            logger.info(proof)
        if doubt:
            logger.warning(doubt)


def _tell_of_file(foreign: ForeignFile) -> None:
    if foreign.others:
        logger.info("it holds weights in %s too; --pt_entry NAME takes those", ", ".join(foreign.others))
    if foreign.not_tensors:
        shown = ", ".join(foreign.not_tensors[:4])
        logger.info("%d entries beside the tensors hold none: %s", len(foreign.not_tensors), shown)
    if foreign.placeholders:
        shown = ", ".join(name for name, _ in foreign.placeholders.most_common(4))
        count = len(foreign.placeholders)
        logger.info("objects of %d classes were not loaded (nothing of them was run): %s", count, shown)


def _set(model: nn.Cell, done: Conversion) -> None:
    for parameter in model.get_parameters():
        value = done.values.get(parameter.name)
        if value is not None:
            if not np.isfinite(value).all():
                logger.warning("%s holds numbers that are not finite", done.used.get(parameter.name, parameter.name))
            parameter.set_data(Tensor(np.ascontiguousarray(value), parameter.dtype))
    model.set_train(False)


def _missing_cells(done: Conversion) -> tuple[str, ...]:
    """Beginnings of the names of cells that hold no converted weights."""
    parts = {f"{name.partition('.')[0]}." for name in done.unset}
    parts |= {name.partition(".")[0] for name in (*done.unset, *done.other_heads)}
    return tuple(sorted(parts | {name.rpartition(".")[0] for name in done.dropped}))


def _how_to_use(done: Conversion, path: Path) -> str:
    if done.unset:
        parts = sorted({name.partition(".")[0] for name in done.unset})
        return f": a backbone alone ({', '.join(parts)} are not in it); train.py --backbone.pretrained {path}"
    if done.other_heads:
        return f": without a head of the configuration; train.py --pre_trained {path} --finetune 1"
    if done.dropped:
        return f": without class layers; train.py --pre_trained {path} --finetune 1"
    return f"; train.py --pre_trained, eval.py and infer.py --checkpoint_path {path}"
