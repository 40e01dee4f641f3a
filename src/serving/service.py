"""From an uploaded file to what is shown of it, by the one network that there is."""

from dataclasses import dataclass

import numpy as np

from ..data.decoding import ImageRules
from ..data.images import header_size, read_bgr, why_unreadable
from ..errors import UserError
from .view import View, make_view


@dataclass(frozen=True)
class Uploaded:
    """An image file that is no file. It has the `ImageFile` protocol of `data.images`."""

    content: bytes
    name: str = "this file"

    def __str__(self) -> str:
        return self.name

    def is_file(self) -> bool:
        return True

    def read_bytes(self) -> bytes:
        return self.content


class Service:
    """Predictions of `model` (`api.Model`) for visitors. most_pixels: of an image, by its header."""

    def __init__(self, model, most_pixels: int):
        self.model = model
        self.most_pixels = min(most_pixels, model.config.max_image_pixels)
        self.rules = ImageRules.from_config(model.config)

    def look(self, content: bytes) -> View:
        """What is found in an image file. UserError, in words for a visitor, for what is none, or too large."""
        size = header_size(content)
        if size is not None and size[0] * size[1] > self.most_pixels:
            most = f"{self.most_pixels / 1e6:g} million"
            raise UserError(f"the image has {size[1]:,} x {size[0]:,} pixels; at most {most} are taken")
        file = Uploaded(content)
        bgr = read_bgr(file, self.rules.upright, self.most_pixels, self.rules)
        if bgr is None:
            raise UserError(why_unreadable(file, self.most_pixels))
        return make_view(self.model.predict(bgr, channels="bgr"), bgr[..., ::-1])

    def warm_up(self) -> View:
        """Run the network once on a grey image, for which its graph is compiled; what its results look like."""
        grey = np.full((self.model.config.img_height, self.model.config.img_width, 3), 114, np.uint8)
        return make_view(self.model.predict(grey, channels="bgr"), grey)
