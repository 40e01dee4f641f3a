"""How much a page takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """megabytes: of an uploaded file; megapixels: of an image; waiting: requests in the queue."""

    megabytes: float = 20
    megapixels: float = 50
    waiting: int = 16
