"""What more devices would give, calculated: `python -m benchmarks.scaling` writes the tables of docs/scaling.md.

    python -m benchmarks.scaling                            # the page from benchmarks/scaling.json
    python -m benchmarks.scaling --count                    # counts the configurations anew (minutes: they run once)
    python -m benchmarks.scaling --measured ONE TWO         # takes over what distributed_step.py --json has measured

The ring: n devices sum B bytes in 2 (n - 1) turns, each of which sends B / n bytes to the neighbour and waits for a
message: 2 (n - 1) / n x B / bandwidth + 2 (n - 1) x latency (Patarasuk and Yuan, 2009). Everything but the comparison
with CPU ranks is calculated, from nominal figures and the assumptions named here.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scaling.md"
FACTS = ROOT / "benchmarks" / "scaling.json"
DEVICES = (8, 64, 512)
BUCKET = 64 * 2**20  # bytes: MindSpore's own threshold where it fuses by size
NUMBER = 4  # bytes of a gradient or a weight: float32, with half precision too
FORWARD_AND_BACKWARD = 3  # multiply-accumulates of a step by those of the forward pass
LARGE = 2**22  # bytes of the sum that gives the CPU ranks' bandwidth: near the gradients' 6 MB
UTILISATION = 0.25  # of a device's peak that a training step reaches: an assumption
DISKS = {"200 MB/s": 200e6, "1 GB/s": 1e9}
COPIES = {"sgd": 1, "momentum": 1, "adam": 2}  # of the weights that an optimizer keeps

# Configuration -> name, images of an epoch, bytes of an image (an assumption: the archives' size by their images)
CONFIGURATIONS = {
    "mask_rcnn_hrnetv2p_w32_1x_coco": ("Mask R-CNN W32", 117_266, 163e3),
    "mask_rcnn_143_1280": ("Mask R-CNN SpineNet-143", 117_266, 163e3),
    "hrnet_w48_seg_cityscapes": ("segmentation W48", 2_975, 2.2e6),
}


@dataclass(frozen=True)
class Link:
    """What joins neighbours of the ring: bytes a second in one direction, seconds of a message, devices at most."""

    name: str
    bandwidth: float
    latency: float
    most: int = 10**9

    @property
    def reach(self) -> str:
        return "any" if self.most == Link.most else f"{self.most}"


@dataclass(frozen=True)
class Device:
    name: str
    flops: float  # a second, the maker's, float16
    links: tuple[Link, ...]


ETHERNET_25 = Link("25 Gb/s", 25e9 / 8, 30e-6)
ETHERNET_100 = Link("100 Gb/s", 100e9 / 8, 5e-6)
INFINIBAND_200 = Link("200 Gb/s", 200e9 / 8, 3e-6)
NVLINK = Link("NVLink", 300e9, 3e-6, most=8)
HCCS = Link("HCCS", 30e9, 3e-6, most=8)
LINKS = (ETHERNET_25, ETHERNET_100, INFINIBAND_200, NVLINK, HCCS)
A100 = Device("A100", 312e12, (ETHERNET_25, ETHERNET_100, INFINIBAND_200, NVLINK))
ASCEND_910 = Device("Ascend 910", 256e12, (ETHERNET_100, HCCS))


@dataclass(frozen=True)
class Counts:
    """Of a configuration: a rank's images a step, numbers of every gradient, of all that a model keeps, and so on."""

    config: str
    width: int
    height: int
    batch: int
    tensors: tuple[int, ...]
    state: int  # numbers of weights and running statistics
    norms: int  # batch normalisations of batch statistics
    frozen_norms: int
    macs: int  # of the forward pass of one image
    optimizer: str
    save_every: int  # steps between checkpoints

    @property
    def name(self) -> str:
        return CONFIGURATIONS[self.config][0]

    @property
    def gradient_bytes(self) -> int:
        return NUMBER * sum(self.tensors)

    @property
    def checkpoint_bytes(self) -> int:
        return NUMBER * (self.state + COPIES[self.optimizer] * sum(self.tensors))

    def compute_seconds(self, device: Device) -> float:
        """Of a step on one device."""
        return 2 * FORWARD_AND_BACKWARD * self.macs * self.batch / (device.flops * UTILISATION)


def ring_seconds(size: float, devices: int, link: Link, operators: int = 1) -> float:
    """To sum `size` bytes over the devices by so many operators."""
    turns = 2 * (devices - 1)
    return turns / devices * size / link.bandwidth + turns * link.latency * operators


def tree_seconds(devices: int, link: Link) -> float:
    """To sum a small message up a binary tree and send it down again."""
    return 2 * math.ceil(math.log2(devices)) * link.latency


def buckets(tensors: Sequence[int], most: int) -> list[list[int]]:
    """Places of tensors (in numbers) that go together: in their order, as many as `most` bytes hold, one at least."""
    found: list[list[int]] = []
    size = 0
    for place, numbers in enumerate(tensors):
        if not found or size + NUMBER * numbers > most:
            found.append([])
            size = 0
        found[-1].append(place)
        size += NUMBER * numbers
    return found


def split_indices(tensors: Sequence[int], most: int) -> list[int]:
    """`all_reduce_fusion_config` for these buckets: the last place of each but the last."""
    return [places[-1] for places in buckets(tensors, most)[:-1]]


def efficiency(compute: float, ring: float) -> float:
    """Share of a step that is not spent waiting for the sum; nothing of it is hidden."""
    return compute / (compute + ring)


def hidden_efficiency(counts: Counts, compute: float, devices: int, link: Link) -> float:
    """The best that buckets can do: summed while the backward pass goes on, two thirds of the step; what does not fit
    there, at least the bucket that is ready last (that of the first layers), is waited for."""
    parts = [sum(counts.tensors[place] for place in places) * NUMBER for places in buckets(counts.tensors, BUCKET)]
    times = [ring_seconds(size, devices, link) for size in parts]
    return efficiency(compute, max(times[0], sum(times) - compute * 2 / 3))


# Tables ---------------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def seconds(value: float) -> str:
    """Three digits, in seconds or milliseconds."""
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"


def percent(value: float) -> str:
    return f"{100 * value:.1f} %" if value < 0.0995 or value > 0.9 else f"{100 * value:.0f} %"


def gradient_rows(all_counts: Sequence[Counts]) -> Iterator[list[str]]:
    for c in all_counts:
        size = f"{c.width} x {c.height}"
        norms = f"{c.norms}" + (f" ({c.frozen_norms} more frozen)" if c.frozen_norms else "")
        numbers, macs = f"{sum(c.tensors):,}", f"{c.macs / 1e9:,.0f}"
        megabytes = f"{c.gradient_bytes / 1e6:.0f} MB"
        times = [seconds(c.compute_seconds(device)) for device in (A100, ASCEND_910)]
        yield [f"{c.name} (`{c.config}`)", size, f"{c.batch}", numbers, megabytes, norms, macs, *times]


def bucket_rows(all_counts: Sequence[Counts]) -> Iterator[list[str]]:
    for c in all_counts:
        count = len(buckets(c.tensors, BUCKET))
        times = [
            seconds(ring_seconds(c.gradient_bytes, 64, ETHERNET_100, operators))
            for operators in (1, count, len(c.tensors))
        ]
        indices = f"`{split_indices(c.tensors, BUCKET)}`"
        yield [c.name, f"{len(c.tensors)}", f"{count}", indices, *times]


def ring_rows(all_counts: Sequence[Counts]) -> Iterator[list[str]]:
    for c in all_counts:
        for link in LINKS:
            times = [seconds(ring_seconds(c.gradient_bytes, n, link)) if n <= link.most else "-" for n in DEVICES]
            yield [c.name, link.name, *times]


def efficiency_rows(all_counts: Sequence[Counts]) -> Iterator[list[str]]:
    for c in all_counts:
        for device in (A100, ASCEND_910):
            compute = c.compute_seconds(device)
            for link in device.links:
                found = [(n, ring_seconds(c.gradient_bytes, n, link)) for n in DEVICES if n <= link.most]
                plain = [percent(efficiency(compute, ring)) for _, ring in found]
                best = [percent(hidden_efficiency(c, compute, n, link)) for n, _ in found]
                gaps = ["-"] * (len(DEVICES) - len(found))
                yield [c.name, device.name, link.name, *plain, *gaps, *best, *gaps]


def norm_rows(all_counts: Sequence[Counts]) -> Iterator[list[str]]:
    for c in all_counts:
        sums = 4 * c.norms  # two forward, two backward
        if sums:
            ring = [seconds(sums * ring_seconds(0, n, ETHERNET_100)) for n in DEVICES]
            tree = [seconds(sums * tree_seconds(n, ETHERNET_100)) for n in DEVICES]
            yield [c.name, f"{c.norms}", f"{sums}", *ring, *tree]


def reading_rows(all_counts: Sequence[Counts]) -> Iterator[list[str]]:
    for c in all_counts:
        size = CONFIGURATIONS[c.config][2]
        for device in (A100, ASCEND_910):
            rate = c.batch / c.compute_seconds(device)
            total = [f"{n * rate * size / 1e6:,.0f} MB/s" for n in DEVICES]
            yield [c.name, device.name, f"{size / 1e3:,.0f} KB", f"{8 * rate:,.0f}", *total]


def checkpoint_rows(all_counts: Sequence[Counts]) -> Iterator[list[str]]:
    for c in all_counts:
        images, step = CONFIGURATIONS[c.config][1], c.compute_seconds(A100)
        for disk, rate in DISKS.items():
            write = c.checkpoint_bytes / rate
            often = f"{percent(write / (write + c.save_every * step))} ({c.save_every:,})"
            epochs = [images // (c.batch * n) * step for n in DEVICES]
            shares = [percent(write / (write + epoch)) for epoch in epochs]
            yield [c.name, f"{c.checkpoint_bytes / 1e6:.0f} MB", disk, seconds(write), often, *shares]


def measured_rows(one: dict[str, float], two: dict[str, float]) -> Iterator[list[str]]:
    """The formula's averaging and step of two CPU ranks beside what was measured."""
    link = measured_link(two)
    size, operators = NUMBER * int(two["numbers"]), int(two["tensors"])
    alone, together, averaging = one["step_ms"] / 1000, two["step_ms"] / 1000, two["averaging_ms"] / 1000
    each, joined = (ring_seconds(size, 2, link, count) for count in (operators, 1))
    shares = [percent(efficiency(alone, each)), percent(alone / together)]
    times = [each, averaging, alone + each, together]
    yield [f"an operator a gradient ({operators}), as it is", *map(seconds, times), *shares]
    times = [joined, two["joined_ms"] / 1000, alone + joined]
    yield ["one operator for all", *map(seconds, times), "-", percent(efficiency(alone, joined)), "-"]


def link_row(one: dict[str, float], two: dict[str, float]) -> list[str]:
    link = measured_link(two)
    times = [seconds(value / 1000) for value in (one["step_ms"], two["sum_4_ms"], two[f"sum_{LARGE}_ms"])]
    return [*times, f"{link.bandwidth / 1e9:.2f} GB/s, {link.latency * 1e6:.0f} µs"]


def measured_link(two: dict[str, float]) -> Link:
    """From sums of one number and of LARGE bytes over two ranks."""
    small, large = two["sum_4_ms"] / 1000, two[f"sum_{LARGE}_ms"] / 1000
    return Link("two CPU ranks", LARGE / (large - small), small / 2)


def tables(facts: dict) -> dict[str, str]:
    """The tables of the page by their names."""
    counted = [Counts(**{**entry, "tensors": tuple(entry["tensors"])}) for entry in facts["counts"]]
    at = [f"{n} devices" for n in DEVICES]
    steps = [f"step on {x.name}: {UTILISATION:.0%} of {x.flops / 1e12:.0f} TFLOP/s" for x in (A100, ASCEND_910)]
    head = ["", "image", "images a rank", "numbers that learn", "gradients", "normalisations", "forward GMACs"]
    cut = ["64 devices, 100 Gb/s: one bucket", "these buckets", "one operator a gradient"]
    one, two = facts["measured"]["1"], facts["measured"]["2"]
    return {
        "step": table([*head, *steps], gradient_rows(counted)),
        "links": table(
            ["link", "a second, one direction", "latency (assumed)", "devices"],
            ([x.name, f"{x.bandwidth / 1e9:.4g} GB", f"{x.latency * 1e6:.0f} µs", x.reach] for x in LINKS),
        ),
        "ring": table(["", "link", *at], ring_rows(counted)),
        "buckets": table(
            ["", "gradients", "buckets of 64 MB", "`all_reduce_fusion_config`", *cut], bucket_rows(counted)
        ),
        "efficiency": table(["", "device", "link", *at, *(f"{n}, hidden" for n in DEVICES)], efficiency_rows(counted)),
        "norms": table(
            ["", "normalisations", "sums a step", *(f"ring, {n}" for n in DEVICES), *(f"tree, {n}" for n in DEVICES)],
            norm_rows(counted),
        ),
        "reading": table(["", "device", "an image", "images/s of 8", *at], reading_rows(counted)),
        "checkpoints": table(
            ["", "bytes", "disk", "a checkpoint", "every `save_every` steps", *(f"every epoch, {n}" for n in DEVICES)],
            checkpoint_rows(counted),
        ),
        "link of the ranks": table(
            ["step of one rank", "sum of one number", f"sum of {LARGE / 2**20:.0f} MB", "so: link"],
            [link_row(one, two)],
        ),
        "ranks": table(
            ["formula with", "averaging", "measured", "step", "measured", "efficiency", "measured"],
            measured_rows(one, two),
        ),
    }


def with_tables(page: str, found: dict[str, str]) -> str:
    """The page with these tables, each between its marks: `<!-- table: NAME -->` and `<!-- end -->`."""
    for name, text in found.items():
        before, mark, rest = page.partition(f"<!-- table: {name} -->")
        _, end, after = rest.partition("<!-- end -->")
        if not end:
            raise ValueError(f"the page has no place for the table '{name}'")
        page = f"{before}{mark}\n\n{text}\n\n{end}{after}"
    return page


def count(config: str) -> dict:
    """Counts of one configuration, from its model; runs it once, on the CPU."""
    from dataclasses import replace

    from mindspore import nn

    from src.commands.summary import summarize
    from src.config import load_config
    from src.models.sync_norm import synchronise_batchnorm
    from src.process import runtime
    from src.tasks import build_model

    cfg = load_config(str(ROOT / "configs" / f"{config}.yaml"), ["--device_target", "CPU"])
    runtime.start(replace(cfg, mode="pynative"), may_be_single=True)
    model = build_model(cfg)
    cells = [cell for _, cell in model.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]
    return {
        "config": config,
        "width": cfg.img_width,
        "height": cfg.img_height,
        "batch": cfg.batch_size,
        "state": sum(parameter.size for parameter in model.get_parameters()),
        "tensors": [parameter.size for parameter in model.trainable_params()],
        "frozen_norms": sum(cell.use_batch_statistics is False for cell in cells),
        "norms": synchronise_batchnorm(model, 2),
        "macs": sum(part.macs for part in summarize(replace(cfg, mode="pynative"))),
        "optimizer": cfg.opt_type,
        "save_every": cfg.save_every,
    }


def main() -> int:
    """2 for bad input, which changes nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", action="store_true", help="count the configurations anew")
    parser.add_argument("--measured", nargs=2, type=Path, metavar="FILE", help="of distributed_step.py, 1 and 2 ranks")
    options = parser.parse_args()
    facts = json.loads(FACTS.read_text(encoding="utf-8")) if FACTS.exists() else {}
    if options.count:
        facts["counts"] = [count(config) for config in CONFIGURATIONS]
    found = {}
    try:
        if options.measured:
            one, two = (json.loads(path.read_text(encoding="utf-8")) for path in options.measured)
            facts["measured"] = {"1": one, "2": two}
            link_row(one, two), list(measured_rows(one, two))
        if {"counts", "measured"} <= set(facts):
            found = tables(facts)
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        named = " and ".join(map(str, options.measured or [FACTS]))
        print(f"error: {named}: not what distributed_step.py --json writes ({error!r})", file=sys.stderr)
        return 2
    FACTS.write_text(json.dumps(facts, indent=None) + "\n", encoding="utf-8")
    if found:
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
        print(f"written: {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
