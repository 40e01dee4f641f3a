"""The lines about what is odd in a data set."""

from src.data.formats.coco import read_coco
from tests.data.tiny import CLASSES, square


def test_what_is_odd_is_said_once_however_often_a_command_opens_the_data(coco_folder, caplog):
    folder = coco_folder([(20, 12)], [square(1, (2, 2, 6, 6), bbox=[2, 2, 0, 0]), square(1, (2, 2, 6, 6), area=999)])
    for classes in (CLASSES, CLASSES, ()):
        dataset = read_coco(folder, classes)
    assert len(caplog.messages) == len(dataset.report.lines()) == 2


def test_a_name_of_many_lines_or_many_characters_does_not_break_a_line_of_the_report(coco_folder, caplog):
    odd = square(1, (2, 2, 6, 6), bbox=[2, 2, 0, 0])
    read_coco(coco_folder([(20, 12)], [odd | {"id": "a\nb\ud800"}, odd | {"id": "c" * 10**6}]), CLASSES)
    assert all(len(line) < 400 and line.isprintable() for line in caplog.messages) and "a\\nb\\ud800" in caplog.text
