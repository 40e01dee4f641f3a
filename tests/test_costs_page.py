"""benchmarks/costs.py: the tables of docs/configurations.md are what it gives, and hold every configuration."""

import sys

import pytest

from benchmarks import costs


@pytest.fixture
def page():
    return costs.PAGE.read_text(encoding="utf-8")


def test_every_configuration_has_a_row(page):
    assert [row[0] for row in costs.kept(page, "costs")] == costs.configurations()
    assert [row[0].rpartition(",")[0] for row in costs.kept(page, "parts")] == list(costs.NAMES.values())
    assert costs.page_with(page, {}) == page


@pytest.mark.parametrize(
    "config",
    [
        "hrnet_w18_small_cls",
        *(pytest.param(name, marks=pytest.mark.slow) for name in (
            "mask_rcnn_49S_640", "cascade_mask_rcnn_hrnetv2p_w18_20e_coco", "hrnet_w18_seg_lip",
            "pointrend_r50_fpn_mindspore")),
    ],
)  # fmt: skip
def test_a_row_is_what_the_program_gives(config, page, pynative_mode):
    assert costs.page_with(page, {config: costs.rows(config)}) == page


def test_a_row_takes_its_own_place_and_no_other(page):
    row = ["hrnet_w18_cls", *"123456789"]
    changed = costs.page_with(page, {"hrnet_w18_cls": {"costs": row}})
    ours, theirs = (page.splitlines(), changed.splitlines())
    apart = [(old, new) for old, new in zip(ours, theirs, strict=True) if old != new]
    assert [new for _, new in apart] == [f"| {' | '.join(row)} |"] and apart[0][0].startswith("| hrnet_w18_cls | ")


def test_a_name_that_is_none_changes_nothing(page, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["costs", "hrnet_w18_cls", "hrnet_w19_cls"])
    assert costs.main() == 2
    assert capsys.readouterr().err == "error: no configuration in configs/ is called hrnet_w19_cls\n"
    assert costs.PAGE.read_text(encoding="utf-8") == page
