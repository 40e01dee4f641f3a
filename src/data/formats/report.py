"""What was odd about a data set, counted and named once, whoever reads it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...errors import plain
from ..said import said_already as said_already  # where they were before
from ..said import unsaid as unsaid

SHOWN, LONGEST = 5, 100  # names a line lists, characters of each
NAMED = 3  # data sets that the name of all of them names
USUAL_CROWDS = 1 / 20  # share of the objects; COCO has about 1 %


@dataclass
class Report:
    """Numbers, and the first few names.

    A reader fills in what it left out (`degenerate_boxes`, `unknown_references`), what it mended or took as it is
    (`odd_...`, `derived_boxes`, `unusable_masks`), and `notes`: whole lines. The index fills in the others.
    """

    missing_files: list[str] = field(default_factory=list)
    looked_for: str = field(default="", compare=False)  # the first of them with its folders
    empty_images: list[str] = field(default_factory=list)
    degenerate_boxes: list[str] = field(default_factory=list)
    unknown_references: list[str] = field(default_factory=list)
    derived_boxes: list[str] = field(default_factory=list)
    odd_boxes: list[str] = field(default_factory=list)
    corner_boxes: int = 0  # those of `odd_boxes` that would agree if they were x1, y1, x2, y2
    outer_boxes: list[str] = field(default_factory=list)
    outer_corners: int = 0  # those of `outer_boxes` that would lie in their image if they were x1, y1, x2, y2
    repeated: list[str] = field(default_factory=list)
    unusable_masks: list[str] = field(default_factory=list)
    odd_areas: list[str] = field(default_factory=list)
    odd_crowds: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    objects: int = 0
    crowds: int = 0
    without_mask: int = 0  # objects that are no crowds

    def lines(self) -> list[str]:
        """One line for each kind of oddity that occurred."""
        texts = {
            "missing_files": "image files are missing: left out of training, counted without predictions in evaluation",
            "degenerate_boxes": "annotations have no area inside their image: left out of training and evaluation",
            "unknown_references": "annotations name an image or a category that the file does not have: ignored",
            "derived_boxes": "annotations have no box: it is taken from their mask",
            "odd_boxes": "boxes disagree with their masks"
            + _as_corners(self.corner_boxes, self.odd_boxes, "agree")
            + ": taken as they are",
            "outer_boxes": "boxes without a mask reach out of their image"
            + _as_corners(self.outer_corners, self.outer_boxes, "lie in it")
            + ": the part inside is learned, the whole one scored",
            "unusable_masks": "annotations have polygons or an RLE that cannot be used: those parts are left out",
            "odd_areas": "annotations have no area, or one far from that of their mask or box: it is taken from there",
            "repeated": "annotations repeat another one of their image, class and all: each of them counts",
            "odd_crowds": "annotations have an iscrowd that is neither 0 nor 1: they are no crowds",
        }
        counted = [
            f"{self._count(kind, names)} {text} ({named(names)})"
            for kind, text in texts.items()
            if (names := getattr(self, kind))
        ]
        if self.looked_for:
            counted[0] += f"; looked for {plain(self.looked_for, 4 * LONGEST)}"
        return [*self.notes, *counted, *self._shares()]

    def _count(self, kind: str, names: Sequence[str]) -> str:
        is_share = kind in ("odd_boxes", "outer_boxes", "odd_areas")
        return f"{len(names)} of {self.objects}" if is_share else str(len(names))

    def _shares(self) -> list[str]:
        lines = []
        if self.crowds > USUAL_CROWDS * self.objects:
            lines.append(
                f"{self.crowds} of {self.objects} objects are crowds (iscrowd 1): not learned, and ignored in scores; "
                "`crowd_rle: objects` takes them as objects"
            )
        if self.without_mask:
            lines.append(
                f"{self.without_mask} of {self.objects} objects have no mask: boxes alone are learned of them, and "
                "under a detector with masks no predicted mask on them is scored"
            )
        return lines


def named(names: Sequence[str]) -> str:
    """The first few, each on one line and not endless, and that there are more."""
    return ", ".join(plain(name, LONGEST) for name in names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def joined_name(names: Sequence[object]) -> str:
    """What several data sets are called together."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(map(str, names[:NAMED]))}{more}"


def _as_corners(count: int, boxes: Sequence[str], what: str) -> str:
    if count * 2 <= len(boxes):
        return ""
    return f" ({count} would {what} as x1, y1, x2, y2; COCO has x, y, width, height)"
