"""A TIFF of 20,000 x 20,000 pixels, by tiles: every object is found, and memory is that of some lines of tiles."""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SIDE, ROWS = 20_000, 16
OBJECTS = [  # x1, y1, x2, y2, label, brightness
    (100, 90, 180, 150, 0, 200),
    (1000, 1000, 1100, 1060, 1, 150),  # over the first corner of tiles
    (5000, 9000, 8000, 9050, 0, 220),  # longer than a tile
    (19_900, 19_950, 20_000, 20_000, 1, 120),  # in the last corner
    (12_345, 3000, 12_445, 6000, 1, 240),
]


def write_tiff(path: Path) -> None:
    """OBJECTS on black, in strips of `ROWS` rows, deflated, written as they are made."""
    empty = zlib.compress(bytes(ROWS * SIDE * 3))
    codes = []
    for top in range(0, SIDE, ROWS):
        inside = [one for one in OBJECTS if one[1] < top + ROWS and one[3] > top]
        if not inside:
            codes.append(empty)
            continue
        strip = np.zeros((ROWS, SIDE, 3), np.uint8)
        for x1, y1, x2, y2, label, value in inside:
            strip[max(y1 - top, 0) : y2 - top, x1:x2, label] = value  # RGB: red or green
        codes.append(zlib.compress(strip.tobytes(), 1))
    from tests.data.test_windows import written

    path.write_bytes(written(codes, SIDE, SIDE, rows=ROWS))


PROGRAM = """
import json, resource, sys, time
from src.inference.predictors import make_predictor
from src.inference.results import to_json
from tests.inference.test_tiles import CLASSES, KEYS, colour_detector
from src.config import default_config
from src.data.pictures import Picture
import numpy as np
cfg = default_config([*KEYS, "--img_width", "1024", "--img_height", "1024", "--tile", "1024", "--tile_overlap", "0.2"])
predictor = make_predictor(colour_detector, cfg)
list(predictor.predict_files([Picture("small", np.zeros((2000, 2000, 3), np.uint8))]))
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
((_, found),) = predictor.predict_files([sys.argv[1]])
seconds, peak = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"before": before, "peak": peak, "seconds": seconds, "entry": to_json(found, CLASSES, None)}))
"""


@pytest.mark.slow
def test_a_tiff_of_400_million_pixels_is_read_by_windows(tmp_path):
    write_tiff(tmp_path / "large.tif")
    ran = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path / "large.tif"], cwd=ROOT, check=True,
                         capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip
    found = json.loads(ran.stdout.splitlines()[-1])
    print({key: found[key] for key in ("before", "peak", "seconds")})
    assert found["peak"] - found["before"] < 600 * 1024  # KiB; the pixels alone are 1.2 GB
    entry = found["entry"]
    assert (entry["height"], entry["width"]) == (SIDE, SIDE)
    objects = {
        tuple(int(one["bbox"][side]) for side in ("x_min", "y_min", "width", "height")) + (one["class"]["label"],)
        for one in entry["predictions"]
    }
    assert objects == {(x1, y1, x2 - x1, y2 - y1, label) for x1, y1, x2, y2, label, _ in OBJECTS}
    assert len(json.dumps(entry)) < 200_000
