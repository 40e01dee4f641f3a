"""What is compared: each operator on drawn inputs, beside the same by PyTorch and torchvision.

An operator is a function here that gives `Job`s and a line in `OPERATORS`. References read the same tensors; where they
compute otherwise on purpose (half precision), the text says so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from .draw import Sizes, apart_boxes, boxes_in, pyramid, rois_in, spread
from .library import Library, Output

STRIDES, FINEST, LEVELS = (4, 8, 16, 32), 56, 5
ONE_LEVEL = (16.0, 80.0)  # sides of RoIs that a level of stride 4 has, in pixels
ALL_LEVELS = (16.0, 600.0)
ADAPTIVE = 0  # samples a bin and axis: as many as the RoI has cells there
ONE_GOAL, ALL_GOAL = 1.0, 0.5  # of torchvision's time

Tensors = list[torch.Tensor]


@dataclass(frozen=True)
class Job:
    """One comparison. ours, theirs: run it and give tensors of the same shapes. limit: of `differ`'s result.
    reference: what `ours` is judged by where it is not `theirs`, whose time is taken.
    """

    what: str
    against: str
    ours: Callable[[], Tensors]
    theirs: Callable[[], Tensors]
    differ: Callable[[Tensors, Tensors], float]
    limit: float
    goal: float | None = ONE_GOAL
    reference: Callable[[], Tensors] | None = None


@dataclass(frozen=True)
class Bench:
    """Where and with what. vision: torchvision.ops, or what stands for it."""

    library: Library
    vision: object
    device: torch.device
    sizes: Sizes

    @property
    def types(self) -> tuple[torch.dtype, ...]:
        """Of features. Half precision is the GPU's kernels' alone, as are gradients in a fixed order."""
        return (torch.float32, torch.float16) if self.library.has("RoiAlignBackwardOrdered") else (torch.float32,)

    def tensor(self, values, dtype=torch.float32) -> torch.Tensor:
        return torch.as_tensor(values, dtype=dtype).to(self.device).contiguous()


def relative(ours: Tensors, theirs: Tensors) -> float:
    """Largest difference of any number, beside the largest of theirs."""
    worst = 0.0
    for mine, other in zip(ours, theirs, strict=True):
        if mine.shape != other.shape or not torch.isfinite(mine).all():
            return float("inf")
        scale = max(float(other.float().abs().max()), 1e-12) if other.numel() else 1.0
        worst = max(worst, float((mine.float() - other.float()).abs().max()) / scale) if other.numel() else worst
    return worst


def share(ours: Tensors, theirs: Tensors) -> float:
    """Which share of all numbers is not equal."""
    total = sum(other.numel() for other in theirs)
    if any(mine.shape != other.shape for mine, other in zip(ours, theirs, strict=True)):
        return float("inf")
    return sum(int((mine != other).sum()) for mine, other in zip(ours, theirs)) / max(total, 1)


def level_of(rois: torch.Tensor) -> torch.Tensor:
    """(N,) number of each RoI's level: floor(log2(scale / 56 + 1e-6)), clamped."""
    scale = ((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2])).sqrt()
    return torch.floor(torch.log2(scale / FINEST + 1e-6)).clamp(0, len(STRIDES) - 1).long()


def roi_align(bench: Bench) -> Iterator[Job]:
    """RoIAlign forward and backward: one level against one call of torchvision, four in one launch against four calls,
    whose RoIs have been sorted by level before.

    torchvision in float16 takes RoIs in float16 too, whose coordinates are whole pixels in large images: its time is
    taken so, while the numbers are held to its float32 on the same features.
    """
    for dtype in bench.types:
        for count, size in bench.sizes.rois:
            for strides, sides, goal in ((STRIDES[:1], ONE_LEVEL, ONE_GOAL), (STRIDES, ALL_LEVELS, ALL_GOAL)):
                features = [bench.tensor(one, dtype) for one in pyramid(bench.sizes, strides)]
                rois = bench.tensor(rois_in(count, bench.sizes, sides))
                yield from _roi_align_jobs(bench, features, strides, rois, size, goal)


def _roi_align_jobs(bench, features, strides, rois, size, goal) -> Iterator[Job]:
    count, channels, dtype = len(rois), features[0].shape[1], features[0].dtype
    settings = bench.tensor([size, ADAPTIVE, 1.0, FINEST, len(strides), *strides])
    empty = bench.tensor([[[[0.0]]]], dtype)
    maps = [*features, *[empty] * (LEVELS - len(features))]
    level = level_of(rois) if len(strides) > 1 else torch.zeros_like(rois[:, 0]).long()
    rows = [(level == k).nonzero()[:, 0] for k in range(len(strides))]

    def pool(kind: torch.dtype, leaves: Tensors) -> Tensors:
        """torchvision's pooled RoIs, level after level."""
        return [
            bench.vision.roi_align(leaf, rois[own].to(kind), size, 1.0 / stride, -1, True)
            for leaf, stride, own in zip(leaves, strides, rows)
        ]

    def in_order(pooled: Tensors) -> torch.Tensor:
        out = pooled[0].new_zeros(count, channels, size, size)
        for own, part in zip(rows, pooled):
            out[own] = part
        return out

    exact = [feature.detach().float().requires_grad_() for feature in features]
    leaves = [feature.detach().clone().requires_grad_() for feature in features]
    grad = bench.tensor(spread((count, channels, size, size), 1)).to(dtype)
    parts = [grad[own] for own in rows]
    calls = "1 call" if len(strides) == 1 else f"{len(strides)} calls"
    name = f"{count} RoIs {size}x{size}, {len(strides)} level{'s' * (len(strides) > 1)}, {str(dtype)[6:]}"
    half = dtype == torch.float16

    def forward_theirs() -> Tensors:
        with torch.no_grad():
            return pool(dtype, features)

    def forward_reference() -> Tensors:
        with torch.no_grad():
            return [in_order(pool(torch.float32, exact))]

    forward = bench.library.prepare(
        "RoiAlignForward", [rois, settings, *maps], [Output((count, channels, size, size), dtype)]
    )
    limit = 2e-3 if half else 1e-4  # positions of some hundred cells are rounded at 3e-5
    yield Job(f"RoIAlign forward, {name}", f"torchvision roi_align, {calls}", forward, forward_theirs, relative, limit,
              goal, forward_reference)  # fmt: skip

    graph: Tensors = []  # its backward alone is timed

    def backward_theirs() -> Tensors:
        graph[:] = graph or pool(dtype, leaves)
        return list(torch.autograd.grad(graph, leaves, parts, retain_graph=True))

    def backward_reference() -> Tensors:
        return list(torch.autograd.grad(in_order(pool(torch.float32, exact)), exact, grad.float()))

    shapes = [Output(tuple(one.shape), dtype) for one in maps]
    for function, kind in (("RoiAlignBackward", ""), ("RoiAlignBackwardOrdered", ", deterministic")):
        if kind and not bench.library.has(function):
            continue
        backward = bench.library.prepare(function, [grad, rois, settings, *maps], shapes)
        yield Job(
            f"RoIAlign backward{kind}, {name}", f"torchvision roi_align's gradient, {calls}",
            lambda call=backward: call()[: len(strides)], backward_theirs, relative, limit, None if kind else goal,
            backward_reference,
        )  # fmt: skip


def nms(bench: Bench) -> Iterator[Job]:
    """NMS within groups against batched_nms, the first `slots` of whose boxes count. Coordinates are quarters of
    pixels, so that areas and overlaps are exact on both sides and both choose by the same quotient.
    """
    for count in bench.sizes.nms:
        slots = min(count, bench.sizes.slots)
        boxes, scores, groups = (bench.tensor(one) for one in apart_boxes(count, bench.sizes))
        labels, valid = groups.to(torch.int32), torch.ones(1, count, dtype=torch.int32, device=bench.device)
        settings = bench.tensor([0.7])
        outputs = [Output((1, slots), torch.int32)] * 2
        call = bench.library.prepare("NmsForward", [boxes[None], scores[None], labels, valid, settings], outputs)

        places = labels.long()

        def theirs(boxes=boxes, scores=scores, places=places, slots=slots) -> Tensors:
            return [bench.vision.batched_nms(boxes, scores, places, 0.7)[:slots]]

        def as_pair(tensors: Tensors, slots=slots) -> Tensors:
            """Index and keep as the operator gives them."""
            out = torch.zeros(2, 1, slots, dtype=torch.int32, device=bench.device)
            out[0, 0, : len(tensors[0])] = tensors[0].to(torch.int32)
            out[1, 0, : len(tensors[0])] = 1
            return [out[0], out[1]]

        yield Job(f"NMS, {count} boxes, {slots} slots", "torchvision batched_nms", call, theirs, share, 0.0,
                  ONE_GOAL, lambda theirs=theirs, as_pair=as_pair: as_pair(theirs()))  # fmt: skip


def mask_crop(bench: Bench) -> Iterator[Job]:
    """The crop of packed masks against RoIAlign on masks of floats; cells whose average is a half count as equal."""
    sizes = replace(bench.sizes, image=bench.sizes.masks)
    size, count, objects = 28, sizes.rois[-1][0], 8
    masks = spread((1, objects, sizes.image // 8, sizes.image // 8), 2) > 0
    masks = bench.tensor(masks.repeat_interleave(8, 2).repeat_interleave(8, 3), torch.bool)
    weights = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], device=bench.device)
    packed = (masks.reshape(*masks.shape[:3], -1, 8) * weights).sum(-1).to(torch.uint8).contiguous()
    rois = bench.tensor(rois_in(count, sizes, ALL_LEVELS))
    index = (torch.arange(count, device=bench.device) % objects).to(torch.int32)
    floats = masks[0, :, None].float()
    own = torch.cat((index[:, None].float(), rois[:, 1:]), 1)

    def average() -> torch.Tensor:
        return bench.vision.roi_align(floats, own, size, 1.0, -1, True)[:, 0]

    def differ(ours: Tensors, theirs: Tensors) -> float:
        far = (average() - 0.5).abs() > 1e-4
        return share([ours[0][far]], [theirs[0][far]])

    call = bench.library.prepare("MaskCropForward", [packed, rois, index], [Output((count, size, size))])
    yield Job(f"mask crop, {count} RoIs {size}x{size}", "torchvision roi_align on unpacked masks", call,
              lambda: [(average() >= 0.5).float()], differ, 0.0)  # fmt: skip


def point_sample(bench: Bench) -> Iterator[Job]:
    """Points of one map against grid_sample, float32 results of maps of either type, and the gradient."""
    rows, count = bench.sizes.points
    for dtype in bench.types:
        (maps,) = (bench.tensor(one, dtype) for one in pyramid(bench.sizes, STRIDES[:1]))
        points = bench.tensor(spread((rows, count, 2), 3).abs() % 1.0)
        channels, half = maps.shape[1], dtype == torch.float16
        leaf = maps.detach().float().requires_grad_()
        grid = (2 * points - 1).reshape(1, rows * count, 1, 2)
        own_leaf, own_grid = maps.detach().clone().requires_grad_(), grid.to(dtype)
        grad = bench.tensor(spread((rows, count, channels), 4))
        their_grad = grad.reshape(-1, channels).t().reshape(1, channels, -1, 1).contiguous()

        def sample(leaf: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
            return functional.grid_sample(leaf, grid, "bilinear", "zeros", False)

        def theirs(own_leaf=own_leaf, own_grid=own_grid) -> Tensors:
            with torch.no_grad():
                return [sample(own_leaf, own_grid)]

        def reference(leaf=leaf, grid=grid, shape=(rows, count, channels)) -> Tensors:
            with torch.no_grad():
                return [sample(leaf, grid)[0, :, :, 0].t().reshape(shape)]

        name = f"{rows * count} points of {channels} channels, {str(dtype)[6:]}"
        call = bench.library.prepare("PointSampleForward", [maps, points], [Output((rows, count, channels))])
        yield Job(f"point sampling forward, {name}", "PyTorch grid_sample", call, theirs, relative, 1e-4,
                  ONE_GOAL, reference)  # fmt: skip
        graph, of_type = [], their_grad.to(dtype)

        def gradient(graph=graph, own_leaf=own_leaf, own_grid=own_grid, of_type=of_type) -> Tensors:
            graph[:] = graph or [sample(own_leaf, own_grid)]
            return list(torch.autograd.grad(graph, own_leaf, [of_type], retain_graph=True))

        def exact_gradient(leaf=leaf, grid=grid, their_grad=their_grad) -> Tensors:
            return list(torch.autograd.grad(sample(leaf, grid), leaf, their_grad))

        for function, kind in (("PointSampleBackward", ""), ("PointSampleBackwardOrdered", ", deterministic")):
            if kind and not bench.library.has(function):
                continue
            call = bench.library.prepare(function, [grad, points, maps], [Output(tuple(maps.shape), dtype)])
            yield Job(f"point sampling backward{kind}, {name}", "PyTorch grid_sample's gradient", call, gradient,
                      relative, 2e-3 if half else 1e-4, None if kind else ONE_GOAL, exact_gradient)  # fmt: skip


def assignment(bench: Bench) -> Iterator[Job]:
    """Max-IoU assignment against the matrix of all IoUs; quarters of pixels, as for NMS: the same bits are wanted."""
    count, objects = bench.sizes.anchors
    positive, negative, least = 0.7, 0.3, 0.3
    boxes = bench.tensor(boxes_in(count, bench.sizes, (16.0, 600.0)))
    truth = bench.tensor(boxes_in(objects, bench.sizes, (32.0, 500.0), 5))
    yes = torch.ones(1, max(count, objects), dtype=torch.bool, device=bench.device)
    settings = bench.tensor([positive, negative, least, 1.0, -1.0])
    inputs = [boxes[None], yes[:, :count].contiguous(), truth[None], yes[:, :objects].contiguous(),
              (~yes)[:, :objects].contiguous(), settings]  # fmt: skip
    call = bench.library.prepare("IoUAssignForward", inputs, [Output((1, count), torch.int32), Output((1, count))])

    def theirs() -> Tensors:
        low = torch.maximum(boxes[:, None, :2], truth[None, :, :2])
        sides = (torch.minimum(boxes[:, None, 2:], truth[None, :, 2:]) - low).clamp(min=0)
        shared = sides[..., 0] * sides[..., 1]
        area, of_truth = ((one[:, 2] - one[:, 0]) * (one[:, 3] - one[:, 1]) for one in (boxes, truth))
        iou = shared / (of_truth[None] + area[:, None] - shared).clamp(min=1e-6)
        best = iou.max(1).values
        numbers = torch.arange(objects, device=bench.device)
        which = torch.where(iou == best[:, None], numbers, objects).min(1).values  # of equal ones the first
        which = torch.where(best > 0, which, 0)
        assigned = torch.where(best >= positive, which + 1, torch.where(best < negative, 0, -1))
        best_of_object = iou.max(0).values
        own = (iou == best_of_object[None]) & (best_of_object >= least)[None]
        forced = (own * torch.arange(1, objects + 1, device=bench.device)).max(1).values
        return [torch.where(forced > 0, forced, assigned).to(torch.int32)[None], best[None]]

    yield Job(f"assignment, {count} boxes x {objects} objects", "PyTorch, the matrix of IoUs", call, theirs, share, 0.0)


OPERATORS = {  # the functions of the library that it takes, jobs
    "RoIAlign": (("RoiAlignForward", "RoiAlignBackward"), roi_align),
    "NMS": (("NmsForward",), nms),
    "assignment": (("IoUAssignForward",), assignment),
    "point sampling": (("PointSampleForward", "PointSampleBackward"), point_sample),
    "mask crop": (("MaskCropForward",), mask_crop),
}
