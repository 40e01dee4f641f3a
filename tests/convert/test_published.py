"""The table of public checkpoints holds to its rules: configurations that are there and fit, addresses, where from."""

import re
from urllib.parse import unquote, urlsplit

import pytest

from src.config import load_config
from src.convert.detect import SOURCES
from src.convert.published import TABLE, Published, known_sha256, published_weights
from src.tasks import TASKS
from tests.convert.case import CONFIGS

ROWS = published_weights()
METRICS = {name for task in TASKS.values() for name in task.reported} - {"Loss"}
WITHOUT = {"hrnet_w48_seg_lip_mindspore", "pointrend_r50_fpn_mindspore"}  # no public file of theirs could be looked up


each_project = pytest.mark.parametrize("project", sorted({row.project for row in ROWS}))


def rows_of(project: str) -> list[Published]:
    return [row for row in ROWS if row.project == project]


@pytest.fixture(scope="module")
def backbone_of():
    """A configuration's name -> its backbone, in the words of the projects."""
    made = {}

    def backbone(name: str) -> str:
        if name not in made:
            keys = load_config(str(CONFIGS / f"{name}.yaml"), []).backbone
            if keys.type == "hrnet":
                modules, stage = keys.extra.stage3.num_modules, keys.extra.stage4
                small = {1: "small", 3: "small_v2"}.get(modules, "")
                made[name] = f"w{18 if small == 'small' else stage.num_channels[0]}{small}"
            else:
                made[name] = f"r{keys.depth}" if keys.type == "resnet" else keys.arch
        return made[name]

    return backbone


def named_backbone(row) -> str:
    """What the row's own words say."""
    words = f"{row.file} {row.address} {row.note}"
    if row.source == "spinenet":
        return re.search(r"SpineNet-(\w+)", words)[1]
    is_resnet = re.search(r"resnet|R-50|R_50|r50|r101|MaskRCNN_resnet50", words)
    if is_resnet and not re.search(r"hrnet", words, re.IGNORECASE):
        return f"r{re.search(r'(?i)(?:resnet|r[-_]?)(50|101)', words)[1]}"
    width = re.search(r"(?i)(?:hrnet\w*?[-_]?w|(?:fcn|ocrnet)_hr)(\d+)", words)[1]
    small = re.search(r"(?i)small[-_]?v2|hr18s|hrnetv2_w18_small", words)
    return f"w{width}" + ("small_v2" if small else "small" if re.search(r"(?i)small", words) else "")


@each_project
def test_each_rows_configurations_are_there_and_have_the_backbone_that_its_name_says(project, backbone_of):
    for row in rows_of(project):
        assert row.configs or row.backbone_of, row
        assert {backbone_of(name) for name in (*row.configs, *row.backbone_of)} == {named_backbone(row)}, row


@each_project
def test_each_row_says_of_whom_the_file_is_and_where_that_was_read(project):
    for row in rows_of(project):
        assert row.source in SOURCES and row.licence, row
        assert re.search(r"of PyPI: \S+\.\w+|\S+\.md|the README of", row.read_from), row
        assert set(row.scores) <= METRICS and all(0 < score < 100 for score in row.scores.values()), row
        assert bool(row.scores) == bool(row.data), row
        ready = {path.removeprefix("configs/").removesuffix(".yaml") for path in SOURCES[row.source].ready}
        assert not ready or set(row.configs) <= ready, row


@each_project
def test_each_address_leads_to_the_file_of_the_row_and_its_name_to_the_digest(project):
    for row in rows_of(project):
        parts = urlsplit(row.address)
        assert parts.scheme == "https" and "." in parts.netloc and " " not in row.address, row
        last = unquote(parts.path.rpartition("/")[2])
        assert last == row.file if "." in last else row.file.rpartition(".")[2] in ("", "pth", "ckpt"), row
        digits = re.search(r"-([0-9a-f]{8})\.(?!ckpt)\w+$", row.file)
        assert row.sha256 == (digits[1] if digits else row.sha256), row
        assert re.fullmatch(r"([0-9a-f]{8}|[0-9a-f]{64})?", row.sha256), row
        assert not row.sha256 or known_sha256(row.file) == row.sha256, row


def test_no_row_is_there_twice_and_every_published_configuration_has_one():
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(ROWS) + 1 and lines[0].startswith("file,project,source,address,configs")
    assert len({row.address for row in ROWS}) == len(ROWS)
    served = {name for row in ROWS for name in (*row.configs, *row.backbone_of)}
    assert {path.stem for path in CONFIGS.glob("*.yaml")} - served == WITHOUT
