"""What the published configurations cost: `python -m benchmarks.costs` writes the tables of docs/configurations.md.

    python -m benchmarks.costs                    # all of them, minutes
    python -m benchmarks.costs CONFIG ...         # these rows alone, by the files' names without .yaml

All of it is calculated, by what `python -m src.models.summary` prints.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.scaling import table, with_tables

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configurations.md"
PARTS = ("backbone", "neck", "rpn_head", "bbox_head", "mask_head")
PARTS_HEAD = ("configuration", "backbone", "neck", "RPN", "box head", "mask head", "total", "GMACs")
COSTS_HEAD = (
    "configuration", "batch", "forward, GFLOPs an image", "step, TFLOPs", "recompute, TFLOPs more",
    "weights, gradients, optimizer: O0, O2", "activations O0", "O2", "O0, recompute", "O2, recompute",
)  # fmt: skip
NAMES = {  # of the table of parts
    "mask_rcnn_hrnetv2p_w18_1x_coco": "Mask R-CNN HRNetV2p-W18",
    "mask_rcnn_hrnetv2p_w32_1x_coco": "Mask R-CNN HRNetV2p-W32",
    "mask_rcnn_hrnetv2p_w40_1x_coco": "Mask R-CNN HRNetV2p-W40",
    "mask_rcnn_r50_fpn_1x_coco": "Mask R-CNN R50-FPN",
    "mask_rcnn_49S_640": "Mask R-CNN SpineNet-49S",
    "mask_rcnn_49_640": "Mask R-CNN SpineNet-49",
    "mask_rcnn_96_1024": "Mask R-CNN SpineNet-96",
    "mask_rcnn_143_1280": "Mask R-CNN SpineNet-143",
    "faster_rcnn_hrnetv2p_w18_1x_coco": "Faster R-CNN HRNetV2p-W18",
    "faster_rcnn_hrnetv2p_w32_1x_coco": "Faster R-CNN HRNetV2p-W32",
    "faster_rcnn_hrnetv2p_w40_1x_coco": "Faster R-CNN HRNetV2p-W40",
    "faster_rcnn_r50_fpn_1x_coco": "Faster R-CNN R50-FPN",
    "cascade_rcnn_hrnetv2p_w32_20e_coco": "Cascade R-CNN HRNetV2p-W32",
    "cascade_mask_rcnn_hrnetv2p_w18_20e_coco": "Cascade Mask R-CNN HRNetV2p-W18",
    "cascade_mask_rcnn_hrnetv2p_w32_20e_coco": "Cascade Mask R-CNN HRNetV2p-W32",
    "mask_rcnn_r101_fpn_1x_coco": "Mask R-CNN R101-FPN",
    "pointrend_r50_fpn_1x_coco": "PointRend R50-FPN",
}


def configurations() -> list[str]:
    """Those of the table of costs: all but the one that is there to be copied."""
    return sorted({path.stem for path in (ROOT / "configs").glob("*.yaml")} - {"default_config"})


def rows(config: str) -> dict[str, list[str]]:
    """A configuration's row of each table that has it, by the table's name. MindSpore must be in PyNative mode."""
    from src.commands.summary import build, step_cost, summarize
    from src.config import load_config

    cfg = load_config(str(ROOT / "configs" / f"{config}.yaml"), [])
    model = build(cfg)
    found = {}
    if config in NAMES:
        parts = {part.name: part for part in summarize(cfg, model)}
        numbers = [f"{parts[name].parameters:,}" if name in parts else "" for name in PARTS]
        total, macs = (sum(getattr(part, name) for part in parts.values()) for name in ("parameters", "macs"))
        title = f"{NAMES[config]}, {cfg.img_width}x{cfg.img_height}"
        found["parts"] = [title, *numbers, f"{total:,}", f"{macs / 1e9:.0f}"]
    walked, fixed = step_cost(cfg, model, cfg.device_target)
    batch = cfg.batch_size
    again = 2 * walked.block_macs * batch / 1e12
    step = 2 * (walked.macs + walked.backward_macs) * batch / 1e12
    stays = fixed.parameters + fixed.gradients + fixed.optimizer + fixed.average
    kinds = [(half, recompute) for recompute in (False, True) for half in (False, True)]
    found["costs"] = [
        config, f"{batch}", f"{2 * walked.macs / 1e9:,.1f}", f"{step:.2f}", f"{again:.2f}",
        f"{stays / 1e9:.2f}, {(stays + fixed.half_copies) / 1e9:.2f}",
        *(f"{batch * walked.activations(*kind) / 1e9:.1f}" for kind in kinds),
    ]  # fmt: skip
    return found


def in_pynative_mode(config: str) -> dict[str, list[str]]:
    """`rows` in a process of its own."""
    import mindspore as ms

    ms.set_context(mode=ms.PYNATIVE_MODE, device_target="CPU")
    return rows(config)


def kept(page: str, name: str) -> Iterator[list[str]]:
    """The rows of a table as the page has them."""
    lines = page.partition(f"<!-- table: {name} -->")[2].partition("<!-- end -->")[0].strip().splitlines()
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def page_with(page: str, found: dict[str, dict[str, list[str]]]) -> str:
    """The page with these rows, by configuration, in the place of its own."""
    parts = {row[0].rpartition(",")[0]: row for row in kept(page, "parts")}
    costs = {row[0]: row for row in kept(page, "costs")}
    for config, one in found.items():
        costs[config] = one["costs"]
        if config in NAMES:
            parts[NAMES[config]] = one["parts"]
    tables = {
        "parts": table(PARTS_HEAD, [parts[name] for name in NAMES.values() if name in parts]),
        "costs": table(COSTS_HEAD, [costs[name] for name in configurations() if name in costs]),
    }
    return with_tables(page, {name: text.replace("|  |", "| |") for name, text in tables.items()})


def main() -> int:
    """2 for a name that is no configuration's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", metavar="CONFIG")
    wanted = parser.parse_args().configs or configurations()
    unknown = sorted(set(wanted) - set(configurations()))
    if unknown:
        print(f"error: no configuration in configs/ is called {', '.join(unknown)}", file=sys.stderr)
        return 2
    found = {}
    for config in wanted:
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # one network at a time, none beside another's rest
            found[config] = pool.apply(in_pynative_mode, (config,))
        print(" | ".join(found[config]["costs"]), flush=True)
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
