"""What the tests of the data folder build their labels from."""

CLASSES = ("cat", "dog")


def square(image_id: int, box: tuple[int, int, int, int], category: int = 9, **changes) -> dict:
    """An annotation whose polygon is its own box (x, y, w, h)."""
    x, y, w, h = box
    polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
    item = {"image_id": image_id, "category_id": category, "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
    return item | {"segmentation": [polygon]} | changes
