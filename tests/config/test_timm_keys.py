"""Keys of timm's augmentations: what is refused, and what is said to have no effect."""

import logging
from pathlib import Path

import pytest

from src.config import load_config
from src.config.rand_augment import INCREASING, PLAIN, WEIGHTED, Policy, parse
from src.config.unread import tell_unread
from src.errors import UserError

CONFIG = Path(__file__).parents[2] / "configs" / "hrnet_w18_cls.yaml"


def test_words_are_read_as_timm_reads_them():
    assert parse("rand") == Policy(PLAIN, None, count=2, magnitude=10, share=0.5, std=0.0, most=10)
    assert parse("rand-m9-mstd0.5-inc1") == Policy(INCREASING, None, magnitude=9, std=0.5)
    assert parse("rand-n3-p.25-mmax20-mstd101") == Policy(PLAIN, None, count=3, share=0.25, std=float("inf"), most=20)
    weighted = parse("rand-tweights-m4")
    assert weighted.names == tuple(WEIGHTED) and sum(weighted.weights) == pytest.approx(1)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["--auto_augment=augmix-m5"], "auto_augment is 'augmix-m5'; it must be RandAugment in timm's words"),
        (["--auto_augment=rand-m9.5"], "auto_augment has 'm9.5'; its words are such as m9, n2, p0.5"),
        (["--auto_augment=rand-q9"], "auto_augment has 'q9'"),
        (["--auto_augment=rand-inc"], "auto_augment has 'inc'"),
        (["--auto_augment=rand--m9"], "auto_augment has ''"),
        (["--auto_augment=rand-tall"], "auto_augment has 'tall'; the sets of operations are tweights, t3a, t3aw"),
        (["--auto_augment=rand-n16-tweights"], "n must be from 1 to 15"),
        (["--auto_augment=rand-n0"], "n must be from 1 to 100"),
        (["--auto_augment=rand-p1.5"], "p must be from 0 to 1"),
        (["--auto_augment=rand-m9", "--rand_augment=2"], "rand_augment is 2 and auto_augment 'rand-m9'"),
        (["--mixup_mode=batch", "--mixup=0.8", "--batch_size=5"], "batch_size is 5; mixup_mode batch mixes"),
        (["--cutmix_minmax=[0.2,0.8]"], "cutmix_minmax is timm's: set mixup_mode"),
        (["--cutmix_minmax=[0.8,0.2]", "--mixup_mode=elem"], r"cutmix_minmax is \[0.8, 0.2\]; it must be"),
        (["--cutmix_minmax=[0.2]", "--mixup_mode=elem"], r"cutmix_minmax is \[0.2\]"),
        (["--crop_scale=[1,0.08]"], r"crop_scale \[1.0, 0.08\] runs backwards"),
        (["--crop_ratio=[1.5,0.5]"], r"crop_ratio \[1.5, 0.5\] runs backwards"),
        (["--mixup=5e-324"], r"mixup is 4.94066e-324; it must be 0 \(off\), or 1e-06 at least"),
    ],
)
def test_what_does_not_fit_is_one_line(keys, message):
    with pytest.raises(UserError, match=message):
        load_config(CONFIG, keys)


def test_an_odd_batch_is_fine_where_nothing_is_mixed_timms_way():
    assert load_config(CONFIG, ["--batch_size=5", "--mixup=0.8"]).mixup_mode == "permuted"
    assert load_config(CONFIG, ["--batch_size=5", "--mixup_mode=pair"]).batch_size == 5


@pytest.mark.parametrize(
    ("key", "value", "others"),
    [
        ("mixup_mode", "batch", ["--mixup=0.8"]),
        ("mixup_prob", "0.5", ["--mixup=0.8", "--mixup_mode=batch"]),
        ("mixup_switch_prob", "0.4", ["--mixup=0.8", "--cutmix=1", "--mixup_mode=batch"]),
    ],
)
def test_a_key_of_mixing_says_when_nothing_reads_it(key, value, others, caplog):
    for keys, lines in ((others, 0), ([], 1)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            tell_unread(load_config(CONFIG, [f"--{key}={value}", *keys]), "train.py")
        assert len([line for line in caplog.messages if key in line]) == lines
