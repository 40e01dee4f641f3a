"""Training targets of the mask head: each RoI's window of its object's mask, resampled and thresholded."""

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from .library import custom_op, device_has_custom_ops


class MaskCrop(nn.Cell):
    """MMDetection's `BitmapMasks.crop_and_resize`: RoIAlign (aligned, adaptive) on the 0/1 mask, then >= 0.5.

    out_size: target cells a side.
    portable: use MindSpore's own operators (always so where this project has no compiled one, as on Ascend).
    """

    def __init__(self, out_size: int, portable: bool = False):
        super().__init__()
        if portable or not device_has_custom_ops():
            self.crop = _PortableMaskCrop(out_size)
        else:
            self.crop = _CustomMaskCrop(out_size)

    def construct(self, packed_masks: Tensor, rois: Tensor, gt_index: Tensor) -> Tensor:
        """packed_masks (B, G, H, W / 8) uint8 (numpy.packbits along rows), rois (N, 5) [image, x1, y1, x2, y2] in
        pixels, gt_index (N,) int32 -> (N, out, out) float32 of 0 and 1. Rows with a negative image number give zeros.
        """
        return self.crop(packed_masks, ops.stop_gradient(rois), gt_index)


class _CustomMaskCrop(nn.Cell):
    """The compiled operator (mask_crop.cc, mask_crop.cu); it reads the packed bits."""

    def __init__(self, out_size: int):
        super().__init__()

        def target_shape(masks, rois, gt_index):
            return [rois[0], out_size, out_size]

        self.run = custom_op("MaskCropForward", target_shape, mstype.float32, str(out_size))

    def construct(self, packed_masks: Tensor, rois: Tensor, gt_index: Tensor) -> Tensor:
        return self.run(packed_masks, rois, gt_index)


class _PortableMaskCrop(nn.Cell):
    """Unpack each RoI's mask and average it by two matrix products; the framework's `ROIAlign` rounds the number of
    adaptive samples down where the definition rounds up.
    """

    def __init__(self, out_size: int):
        super().__init__()
        self.out_size = out_size

    def construct(self, packed_masks: Tensor, rois: Tensor, gt_index: Tensor) -> Tensor:
        batch, objects, height, row_bytes = packed_masks.shape
        usable = rois[:, 0] >= 0
        image = ops.where(usable, rois[:, 0], ops.zeros_like(rois[:, 0])).astype(mstype.int32)
        rows = ops.gather(packed_masks.reshape(batch * objects, height, row_bytes), image * objects + gt_index, 0)
        rows = rows.astype(mstype.int32)
        bits = ()
        for k in range(8):
            bits += (ops.floor_mod(ops.floor_div(rows, 2 ** (7 - k)), 2),)
        masks = ops.stack(bits, -1).reshape(rois.shape[0], height, row_bytes * 8).astype(mstype.float32)
        vertical = _bin_weights(rois[:, 2], rois[:, 4], self.out_size, height)
        horizontal = _bin_weights(rois[:, 1], rois[:, 3], self.out_size, row_bytes * 8)
        pooled = ops.bmm(ops.bmm(vertical, masks), horizontal.transpose(0, 2, 1))
        return ops.logical_and(pooled >= 0.5, usable[:, None, None]).astype(mstype.float32)


def _bin_weights(low: Tensor, high: Tensor, out_size: int, size: int) -> Tensor:
    """(N,) edges in pixels -> (N, out_size, size): what each pixel along one axis adds to each bin's average."""
    bin_size = (high - low) / out_size
    grid = ops.maximum(ops.ceil(bin_size), 1.0)[:, None]
    bins = ops.arange(0, out_size).astype(low.dtype)[None]
    pixels = ops.arange(0, size).astype(low.dtype)[None, None]
    total = 0.0
    for k in range(-(-size // out_size) + 1):
        position = low[:, None] - 0.5 + (bins + (k + 0.5) / grid) * bin_size[:, None]
        inside = ops.logical_and(ops.logical_and(position >= -1, position <= size), grid > k)
        nearness = ops.relu(1.0 - ops.abs(ops.clamp(position, 0, size - 1)[:, :, None] - pixels))
        total = total + nearness * inside.astype(low.dtype)[:, :, None]
    return total / grid[:, :, None]
