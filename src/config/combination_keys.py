"""Keys of training samples that are made of several images."""

from .schema import key, keys


@keys(matters="training", on_resume="same")
class CombinationKeys:
    mosaic: float = key(
        0.0,
        "detection: probability of a sample of four images round a point, each about half as large as alone",
        low=0,
        high=1,
    )
    copy_paste: float = key(
        0.0, "detection: probability of objects of another training image on this one (needs masks)", low=0, high=1
    )
    copy_paste_max: int = key(
        100,
        "detection: fewer objects than this are pasted, so 2 at least (MMDetection's max_num_pasted)",
        low=1,
        high=10_000,
    )
    copy_paste_selected: bool = key(
        True, "detection: a random choice of the other image's objects is pasted; 0 pastes all"
    )
    copy_paste_box_shift: float = key(
        10.0,
        "detection: an object that is partly pasted over stays if no side of its box moves by more pixels than this "
        "(bbox_occluded_thr)",
        low=0,
        high=1e5,
    )
    copy_paste_least_pixels: int = key(
        300,
        "detection: it stays as well if more pixels of it than this are left (mask_occluded_thr)",
        low=0,
        high=1_000_000_000,
    )
