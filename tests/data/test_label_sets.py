"""Label tables against the published lists, and the left/right swap of mirrored labels."""

from pathlib import Path

import numpy as np
import pytest

from src.config import load_config
from src.data.label_sets import UNKNOWN, label_set
from src.errors import UserError

CONFIGS = Path(__file__).parents[2] / "configs"
CITYSCAPES, LIP = (str(CONFIGS / f"hrnet_w18_seg_{name}.yaml") for name in ("cityscapes", "lip"))


def test_cityscapes_raw_ids_become_the_19_train_ids_and_the_others_are_ignored():
    labels = label_set(load_config(CITYSCAPES))
    published = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13,
                 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip
    for raw in range(34):
        assert labels.table[raw] == published.get(raw, 255), raw
    assert labels.table[255] == 255 and (labels.table[34:255] == UNKNOWN).all()
    assert labels.names[13] == "car" and tuple(labels.palette[13]) == (0, 0, 142) and len(labels.names) == 19


def test_another_ignore_label_is_what_ignored_ids_become():
    assert label_set(load_config(CITYSCAPES, ["--ignore_label", "200"])).table[4] == 200


def test_mirroring_swaps_left_and_right_parts_of_lip_and_nothing_of_cityscapes():
    lip = label_set(load_config(LIP))
    label = np.uint8([[14, 15, 16, 17], [18, 19, 5, 255]])
    np.testing.assert_array_equal(lip.swapped(label[:, ::-1]), [[16, 17, 14, 15], [255, 5, 18, 19]])
    np.testing.assert_array_equal(lip.swapped(lip.swapped(label)), label)
    np.testing.assert_array_equal(label_set(load_config(CITYSCAPES)).swapped(label), label)


def test_a_custom_dataset_has_its_own_names_and_distinct_colours():
    labels = label_set(load_config(CITYSCAPES, ["--dataset=custom", "--class_names=[sky,sea,ship]", "--num_classes=3",
                                                "--class_weights=[]"]))  # fmt: skip
    assert labels.names == ("sky", "sea", "ship") and len({tuple(colour) for colour in labels.palette}) == 3
    assert labels.table[:4].tolist() == [0, 1, 2, UNKNOWN] and labels.table[255] == 255


@pytest.mark.parametrize(
    "keys,said",
    [(["--num_classes=20", "--class_weights=[]"], "has 19 classes"), (["--dataset=custom"], "class_names is empty")],
)
def test_classes_that_do_not_fit_the_data_set_are_one_line(keys, said):
    with pytest.raises(UserError, match=said):
        label_set(load_config(CITYSCAPES, keys))
