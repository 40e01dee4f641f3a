import pytest

from src.evaluation.detection_analysis import analyse_detections, format_analysis
from tests.evaluation.tiny import detection, make_dataset

SQUARE, DISC = 7, 3


def test_every_kind_of_error_is_told_from_the_others():
    dataset = make_dataset(
        [
            (11, SQUARE, (0, 0, 20, 20), False),  # found
            (11, SQUARE, (40, 0, 20, 20), False),  # localisation error points at it
            (11, DISC, (0, 40, 20, 20), False),  # taken for a square
            (11, SQUARE, (80, 80, 20, 20), False),  # missed
            (12, SQUARE, (0, 0, 60, 60), True),  # crowd
        ]
    )
    results = [
        detection(11, SQUARE, (0, 0, 20, 20), 0.9),  # correct
        detection(11, SQUARE, (0, 0, 20, 18), 0.8),  # duplicate
        detection(11, SQUARE, (40, 10, 20, 20), 0.7),  # IoU 1/3: localisation
        detection(11, SQUARE, (0, 40, 20, 20), 0.6),  # confusion
        detection(11, DISC, (60, 40, 10, 10), 0.5),  # background
        detection(12, SQUARE, (10, 10, 20, 20), 0.9),  # inside the crowd: ignored
        detection(12, DISC, (10, 10, 20, 20), 0.9),  # the crowd is of another class: background
        detection(11, SQUARE, (80, 80, 20, 20), 0.1),  # below the score threshold
    ]
    analysis = analyse_detections(dataset, results, score_threshold=0.3)
    assert analysis.errors == {"duplicate": 1, "localisation": 1, "confusion": 1, "background": 2, "missed": 1}
    square, disc = analysis.classes["square"], analysis.classes["disc"]
    assert (square.objects, square.detections, square.correct) == (3, 4, 1)
    assert (disc.objects, disc.detections, disc.correct) == (1, 2, 0)
    assert square.precision == pytest.approx(1 / 4) and square.recall == pytest.approx(1 / 3)
    assert square.f1 == pytest.approx(2 / 7)
    table = format_analysis(analysis)
    assert "bar" not in table  # neither objects nor detections
    assert table.endswith("Errors: duplicate 1, localisation 1, confusion 1, background 2, missed 1")


def test_the_better_of_two_detections_takes_the_object_whatever_their_order():
    dataset = make_dataset([(11, SQUARE, (0, 0, 20, 20), False)])
    results = [detection(11, SQUARE, (0, 0, 20, 18), 0.6), detection(11, SQUARE, (0, 0, 20, 20), 0.9)]
    analysis = analyse_detections(dataset, results)
    assert analysis.classes["square"].correct == 1 and analysis.errors["duplicate"] == 1


def test_a_detection_takes_the_next_object_when_its_best_is_taken():
    dataset = make_dataset([(11, SQUARE, (0, 0, 20, 20), False), (11, SQUARE, (2, 0, 20, 20), False)])
    results = [detection(11, SQUARE, (0, 0, 20, 20), 0.9), detection(11, SQUARE, (0, 0, 20, 20), 0.8)]
    assert analyse_detections(dataset, results).classes["square"].correct == 2


def test_nothing_detected_is_all_missed(tiny_dataset):
    analysis = analyse_detections(tiny_dataset, [])
    assert analysis.errors["missed"] == 4
    assert analysis.classes["square"].precision == 0 and analysis.classes["square"].f1 == 0
