"""HRNet + OCR written for the tests from its definition, under the names of the HRNet authors and of MMSegmentation.

Both return (auxiliary, main) logits of the finest map. The authors' enlarges with align_corners, has biases before two
normalisations and leaves out channels; MMSegmentation's does none of that and enlarges twice in HRNet's fusion.
"""

import torch
import torch.nn.functional as F
from torch import nn as tnn

from tests.models.torch_hrnet_seg import Convention, TorchHRNetSeg, enlarge, ohem_cross_entropy

AUTHORS, MMSEG = Convention(aligned=True), Convention(two_steps=True)
MOMENTUM = 0.1  # of all normalisations here


def regions_of(pixels, aux):
    """Each class's mean of the pixels' features, weighted by the softmax of its logits over the pixels."""
    shares = aux.flatten(2).softmax(2)
    return torch.einsum("bkn,bcn->bck", shares, pixels.flatten(2)).unsqueeze(3)


def mixtures(query, key, value):
    """(B, c, h, w) pixels, (B, c, K, 1) regions, (B, c, K, 1) what these give -> (B, c, h, w)."""
    likeness = torch.einsum("bchw,bckx->bhwk", query, key) / query.shape[1] ** 0.5
    return torch.einsum("bhwk,bckx->bchw", likeness.softmax(3), value)


def bn_relu(channels):
    return tnn.Sequential(tnn.BatchNorm2d(channels), tnn.ReLU())


class AuthorsBlock(tnn.Module):
    def __init__(self, channels, keys):
        super().__init__()

        def compared():
            first, second = tnn.Conv2d(channels, keys, 1, bias=False), tnn.Conv2d(keys, keys, 1, bias=False)
            return tnn.Sequential(first, bn_relu(keys), second, bn_relu(keys))

        self.f_pixel, self.f_object = compared(), compared()
        self.f_down = tnn.Sequential(tnn.Conv2d(channels, keys, 1, bias=False), bn_relu(keys))
        self.f_up = tnn.Sequential(tnn.Conv2d(keys, channels, 1, bias=False), bn_relu(channels))

    def forward(self, pixels, regions):
        return self.f_up(mixtures(self.f_pixel(pixels), self.f_object(regions), self.f_down(regions)))


class AuthorsDistribution(tnn.Module):
    def __init__(self, channels, keys, dropout):
        super().__init__()
        self.object_context_block = AuthorsBlock(channels, keys)
        self.conv_bn_dropout = tnn.Sequential(
            tnn.Conv2d(2 * channels, channels, 1, bias=False), bn_relu(channels), tnn.Dropout2d(dropout)
        )

    def forward(self, pixels, regions):
        return self.conv_bn_dropout(torch.cat([self.object_context_block(pixels, regions), pixels], 1))


class AuthorsOCR(TorchHRNetSeg):
    """`seg_hrnet_ocr.py`; arguments as `TorchHRNetSeg`, channels of pixels and of their comparison."""

    def __init__(self, num_classes, stage1, others, channels, keys, dropout=0.0):
        super().__init__(num_classes, stage1, others, convention=AUTHORS)
        del self.last_layer
        width = sum(others[-1][0])
        self.conv3x3_ocr = tnn.Sequential(
            tnn.Conv2d(width, channels, 3, padding=1), tnn.BatchNorm2d(channels), tnn.ReLU()
        )
        self.ocr_distri_head = AuthorsDistribution(channels, keys, dropout)
        self.cls_head = tnn.Conv2d(channels, num_classes, 1)
        self.aux_head = tnn.Sequential(
            tnn.Conv2d(width, width, 1), tnn.BatchNorm2d(width), tnn.ReLU(), tnn.Conv2d(width, num_classes, 1)
        )
        set_momentum(self)

    def forward(self, x):
        maps = self.joined(x)
        aux, pixels = self.aux_head(maps), self.conv3x3_ocr(maps)
        return aux, self.cls_head(self.ocr_distri_head(pixels, regions_of(pixels, aux)))


class ConvModule(tnn.Module):
    """mmcv's: no bias before a normalisation."""

    def __init__(self, inputs, outputs, size=1):
        super().__init__()
        self.conv = tnn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
        self.bn = tnn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class FCNHead(tnn.Module):
    def __init__(self, width, num_classes):
        super().__init__()
        self.conv_seg = tnn.Conv2d(width, num_classes, 1)
        self.convs = tnn.Sequential(ConvModule(width, width))

    def forward(self, maps):
        return self.conv_seg(self.convs(maps))


class MMSegBlock(tnn.Module):
    def __init__(self, channels, keys):
        super().__init__()
        self.key_project = tnn.Sequential(ConvModule(channels, keys), ConvModule(keys, keys))
        self.query_project = tnn.Sequential(ConvModule(channels, keys), ConvModule(keys, keys))
        self.value_project, self.out_project = ConvModule(channels, keys), ConvModule(keys, channels)
        self.bottleneck = ConvModule(2 * channels, channels)

    def forward(self, pixels, regions):
        mixed = mixtures(self.query_project(pixels), self.key_project(regions), self.value_project(regions))
        return self.bottleneck(torch.cat([self.out_project(mixed), pixels], 1))


class MMSegHead(tnn.Module):
    def __init__(self, width, channels, keys, num_classes):
        super().__init__()
        self.conv_seg = tnn.Conv2d(channels, num_classes, 1)
        self.object_context_block = MMSegBlock(channels, keys)
        self.bottleneck = ConvModule(width, channels, 3)

    def forward(self, maps, aux):
        pixels = self.bottleneck(maps)
        return self.conv_seg(self.object_context_block(pixels, regions_of(pixels, aux)))


class MMSegOCR(tnn.Module):
    """`ocrnet_hr*.py` of MMSegmentation: an FCN head, then an OCR head that sees its logits."""

    def __init__(self, num_classes, stage1, others, channels, keys):
        super().__init__()
        self.backbone = TorchHRNetSeg(num_classes, stage1, others, convention=MMSEG)
        del self.backbone.last_layer
        width = sum(others[-1][0])
        self.decode_head = tnn.ModuleList([FCNHead(width, num_classes), MMSegHead(width, channels, keys, num_classes)])
        set_momentum(self)

    def forward(self, x):
        maps = self.backbone.joined(x)
        aux = self.decode_head[0](maps)
        return aux, self.decode_head[1](maps, aux)


def set_momentum(network):
    for module in network.modules():
        if isinstance(module, tnn.BatchNorm2d):
            module.momentum = MOMENTUM


def authors_losses(logits, label, weight, ohem=()):
    """0.4 auxiliary, 1.0 main, both at the label's size; ohem: threshold and least number, of the main one alone."""
    aux, main = (enlarge(x, label.shape[-2:], AUTHORS) for x in logits)
    rough = F.cross_entropy(aux, label, weight, ignore_index=255)
    if ohem:
        return 0.4 * rough, ohem_cross_entropy(main, label, *ohem, weight=weight)
    return 0.4 * rough, F.cross_entropy(main, label, weight, ignore_index=255)


def mmseg_losses(logits, label):
    """Their `CrossEntropyLoss` with `avg_non_ignore` False: ignored pixels cost nothing and count in the mean."""
    aux, main = (enlarge(x, label.shape[-2:], MMSEG) for x in logits)
    losses = [F.cross_entropy(x, label, ignore_index=255, reduction="none").mean() for x in (aux, main)]
    return 0.4 * losses[0], losses[1]
