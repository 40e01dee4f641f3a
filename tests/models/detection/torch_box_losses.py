"""Box losses in PyTorch, from their definitions: MMDetection 3's `giou_loss` and `ciou_loss`, and the box coding."""

import math

import torch

EPS = 1e-6


def parts(boxes, targets):
    """Of (N, 4) boxes each: the sides of what they share and of the box around them, their areas."""
    low, high = torch.max(boxes[:, :2], targets[:, :2]), torch.min(boxes[:, 2:], targets[:, 2:])
    outer_low, outer_high = torch.min(boxes[:, :2], targets[:, :2]), torch.max(boxes[:, 2:], targets[:, 2:])
    areas = [(x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (boxes, targets)]
    return (high - low).clamp(min=0), (outer_high - outer_low).clamp(min=0), areas


def giou(boxes, targets):
    shared, outer, areas = parts(boxes, targets)
    overlap, eps = shared.prod(dim=1), torch.tensor(EPS, dtype=boxes.dtype)
    union = torch.max(areas[0] + areas[1] - overlap, eps)
    enclosing = torch.max(outer.prod(dim=1), eps)
    return 1 - (overlap / union - (enclosing - union) / enclosing)


def ciou(boxes, targets):
    shared, outer, areas = parts(boxes, targets)
    overlap = shared.prod(dim=1)
    iou = overlap / (areas[0] + areas[1] - overlap + EPS)
    diagonal = outer[:, 0] ** 2 + outer[:, 1] ** 2 + EPS
    centres = [x[:, :2] + x[:, 2:] for x in (boxes, targets)]
    distance = ((centres[1] - centres[0]) ** 2 / 4).sum(dim=1)
    angles = [torch.atan((x[:, 2] - x[:, 0]) / (x[:, 3] - x[:, 1] + EPS)) for x in (boxes, targets)]
    shapes = 4 / math.pi**2 * (angles[1] - angles[0]) ** 2
    with torch.no_grad():
        factor = (iou > 0.5).to(iou.dtype) * shapes / (1 - iou + shapes)
    return 1 - (iou - (distance / diagonal + factor * shapes)).clamp(min=-1.0, max=1.0)


def decode(references, deltas, stds):
    """(N, 4) boxes of deltas (dx, dy, dw, dh), growth limited to 1000 / 16, not clipped to an image."""
    deltas = deltas * torch.tensor(stds, dtype=deltas.dtype)
    centre, side = (references[:, :2] + references[:, 2:]) / 2, references[:, 2:] - references[:, :2]
    limit = abs(math.log(16 / 1000))
    centre = centre + side * deltas[:, :2]
    half = side * deltas[:, 2:].clamp(min=-limit, max=limit).exp() / 2
    return torch.cat([centre - half, centre + half], dim=1)


def encode(references, targets, stds):
    sides = [x[:, 2:] - x[:, :2] for x in (references, targets)]
    centres = [(x[:, 2:] + x[:, :2]) / 2 for x in (references, targets)]
    deltas = torch.cat([(centres[1] - centres[0]) / sides[0], (sides[1] / sides[0]).log()], dim=1)
    return deltas / torch.tensor(stds, dtype=deltas.dtype)


def box_loss(kind, beta, deltas, references, objects, stds):
    """The sum over (N, 4) rows of the loss by name."""
    if kind in ("giou", "ciou"):
        return {"giou": giou, "ciou": ciou}[kind](decode(references, deltas, stds), objects).sum()
    targets = encode(references, objects, stds)
    if kind == "l1" or beta == 0:
        return (deltas - targets).abs().sum()
    return torch.nn.functional.smooth_l1_loss(deltas, targets, beta=beta, reduction="sum")
