"""Names of published weights: each row has one of its own, and a shorter one leads to one row or says to which."""

from pathlib import Path

import pytest

from src.convert.published import NEEDED, published_weights
from src.errors import UserError
from src.zoo.names import find, named, the_table

TABLE = the_table()


def test_every_row_has_a_name_of_its_own_that_tells_what_it_is():
    assert len(TABLE) == len(published_weights()) == 153
    for name, row in TABLE.items():
        assert find(f"zoo:{name}", TABLE) == find(name.upper(), TABLE) == name
        assert (row.file.rpartition(".")[0] in name or row.file.startswith("model.")) and name.isprintable()
    assert {"hrnet_w18.ms_in1k", "fcn_hrnetw18_cityscapes_1024x512_80k", "HRNet-W30-C", "R-50-detectron2",
            "Mask_R-CNN_SpineNet-49S_640x640"} <= set(TABLE)  # fmt: skip


@pytest.mark.parametrize(
    "text,name",
    [
        ("zoo:mask_rcnn_r50_fpn_1x_coco", "mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6"),
        ("cascade_rcnn_hrnetv2p", "cascade_rcnn_hrnetv2p_w32_20e_coco_20200208-928455a4"),
        ("hrnet_w30_cls", "HRNet-W30-C|hrnet_w30.ms_in1k"),
        ("d4b0c5d6", "mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6"),
        ("mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6.pth", "mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6"),
    ],
)
def test_a_shorter_name_will_do(text, name):
    if "|" not in name:
        assert find(text, TABLE) == name
        return
    with pytest.raises(UserError, match=f"may be {name.replace('|', ', ')}; give more of its name"):
        find(text, TABLE)


def test_a_name_that_is_none_is_one_line_with_the_nearest():
    with pytest.raises(UserError, match="zoo:mask_rcnn_r50_fpn_1x_cco names no published weights; did you mean mask_r"):
        find("zoo:mask_rcnn_r50_fpn_1x_cco", TABLE)
    with pytest.raises(UserError, match="nosuch names no published weights; .*lists all$"):
        find("nosuch", TABLE)
    for text in ("zoo:", "zoo:../../etc", "zoo:\n<b>", "zoo:" + "x" * 5000):
        with pytest.raises(UserError) as error:
            find(text, TABLE)
        assert "\n" not in str(error.value) and len(str(error.value)) < 400


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_a_table_of_ones_own_takes_the_projects_place(tmp_path, monkeypatch):
    path = write(tmp_path / "my.csv", "file,address,configs,scores", "a b#%.pth,http://x/a,c.yaml,bbox_mAP=40.1")
    table = the_table(path)
    assert list(table) == ["a b#%"] and table["a b#%"].configs == ("c.yaml",) and table["a b#%"].scores == {
        "bbox_mAP": 40.1
    }  # fmt: skip
    monkeypatch.setenv("VISION_ZOO_TABLE", path)
    assert the_table() == table


@pytest.mark.parametrize(
    "lines,message",
    [
        (("file,configs", "a,b"), "has the columns file, address; address is missing"),
        (("file,address,adress", "a,b,c"), "unknown column adress; they are file, project"),
        (("file,address", "a,b,c"), "line 2: it has more cells"),
        (("file,address,scores", "a,b,mAP"), "line 2: scores are names and numbers"),
        (("file,address", '"a,b'), "my.csv, line 1: no CSV"),
        (("file,address", "../a.pth,b"), "'../a.pth' is no name of a file"),
        (("file,address", ".a.pth,b"), "'.a.pth' is no name of a file"),
        (("file,address", "-a.pth,b"), "'-a.pth' is no name of a file"),
        (("file,address", f"{'n' * 300}.pth,b"), "is no name of a file"),
        (("file,address", "a.pth,http://x/1/a.pth", "a.pth,http://x/1/a.pth"),
         "my.csv: 2 rows have the file a.pth, and no folder of their addresses tells them apart"),
        (("file,address", "a.pth,http://x/a.pth", "b.pth,http://x/b.pth", "a.pth,http://y/a.pth"),
         "2 rows have the file a.pth, and no folder"),
        (("file,address", "a-1.pth,x", "a.pth,http://x/1/a.pth", "a.pth,http://x/2/a.pth"), "two rows are called a-1"),
    ],
)  # fmt: skip
def test_a_table_that_is_none_is_one_line(tmp_path, lines, message):
    with pytest.raises(UserError, match=message) as error:
        the_table(write(tmp_path / "my.csv", *lines))
    assert "my.csv" in str(error.value)


def test_a_table_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"table of weights .*none\.csv' cannot be read"):
        the_table(str(tmp_path / "none.csv"))
    assert NEEDED == ("file", "address")


def test_two_files_that_differ_by_their_suffix_alone_keep_it(tmp_path):
    path = write(tmp_path / "my.csv", "file,address", "a.pth,http://x/a.pth", "a.pkl,http://x/a.pkl")
    assert list(the_table(path)) == ["a.pth", "a.pkl"]
    assert named([]) == {}
