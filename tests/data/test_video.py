"""Frames of videos that OpenCV has written, cut off, damaged and made up; MP4 files of frames."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.data import video as module
from src.data.video import camera_number, has_video_suffix, is_video, open_video, written_video
from src.errors import UserError
from tests.data.videos import CODECS, frame, grey, write_video

ODD_NAMES = (b"caf\xe9.mp4", b"%02d.mp4", b"http:a.mp4", b"a'<b>&\"#.mp4", b"-.mp4", b"\n.mp4")


def read(path: Path, step: int = 1, **how) -> list[tuple[int, float, int]]:
    with open_video(path, **how) as video:
        return [(one.number, one.seconds, grey(one.bgr)) for one in video.frames(step)]


@pytest.mark.parametrize("suffix", CODECS)
def test_every_frame_comes_with_its_number_and_its_time(tmp_path, suffix):
    path = write_video(tmp_path / f"a{suffix}")
    assert is_video(path)
    assert read(path) == [(k, k / 10, k) for k in range(20)]
    assert read(path, step=7) == [(0, 0.0, 0), (7, 0.7, 7), (14, 1.4, 14)]
    with open_video(path) as video:
        assert (video.height, video.width, video.rate, video.count) == (64, 96, 10, 20)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_a_name_and_nothing_else(tmp_path, name, monkeypatch):
    """OpenCV's Python falls over names that are no text, FFmpeg takes others for addresses and for rows of files."""
    path = tmp_path / os.fsdecode(name)
    write_video(tmp_path / "plain.mp4", 3).rename(path)
    monkeypatch.chdir(tmp_path)
    assert len(read(path)) == len(read(Path(path.name))) == 3


@pytest.mark.parametrize("suffix,least", [(".avi", 4), (".mkv", 4), (".webm", 4)])
def test_a_video_that_is_cut_off_gives_its_frames_up_to_there_and_says_so(tmp_path, caplog, suffix, least):
    path = write_video(tmp_path / f"a{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 4 // 5])
    found = read(path)
    assert least <= len(found) < 19 and [one[2] for one in found] == list(range(len(found)))
    assert f"{path} ends after {len(found)} of 20 frames: it is cut off or damaged" in caplog.text


def test_an_mp4_without_its_end_is_refused_in_one_line(tmp_path, capfd):
    path = write_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match=r"a\.mp4: no video that OpenCV reads, or cut off \(an MP4's list"):
        read(path)
    assert capfd.readouterr() == ("", "")  # FFmpeg and OpenCV say nothing beside


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{other}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {other}\n",
        "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "",
        "ftyp",
    ],
)
def test_lists_of_other_files_and_of_addresses_are_no_videos(tmp_path, content):
    other = write_video(tmp_path / "other.mp4", 3)
    path = tmp_path / "list.mp4"
    path.write_text(content.format(other=other))
    assert has_video_suffix(path) and not is_video(path)
    with pytest.raises(UserError, match="list.mp4 is no video: it does not begin as one"):
        read(path)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    for name, why in (("pipe", "no regular file"), ("folder", "it is a folder"), ("none", "No such file")):
        assert not is_video(tmp_path / f"{name}.mp4")
        with pytest.raises(UserError, match=f"{name}.mp4 cannot be read .*{why}"):
            read(tmp_path / f"{name}.mp4")


def test_frames_that_are_too_large_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", 2)
    monkeypatch.setattr(module.Video, "frames", lambda *_: pytest.fail("read"))
    assert read_size(path, 64 * 96) == (64, 96)
    with pytest.raises(UserError, match=r"its frames have 96 x 64 pixels, and max_image_pixels is 6143"):
        read(path, max_pixels=64 * 96 - 1)


def read_size(path: Path, max_pixels: int) -> tuple[int, int]:
    with open_video(path, max_pixels) as video:
        return video.height, video.width


def test_frames_are_turned_as_the_file_says_unless_they_are_wanted_as_stored(tmp_path):
    """As a telephone held upright writes them: a matrix of a quarter turn in the header of the track."""
    path = tmp_path / "a.mp4"
    with written_video(path, 5) as write:
        write(np.repeat(np.uint8([[[0] * 3] * 48 + [[200] * 3] * 48]), 64, axis=0))  # dark left, light right
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    content[matrix : matrix + 20] = b"".join(
        number.to_bytes(4, "big", signed=True) for number in (0, 2**16, 0, -(2**16), 0)
    )
    path.write_bytes(content)
    for upright, size in ((True, (96, 64)), (False, (64, 96))):
        with open_video(path, upright=upright) as video:
            (only,) = video.frames()
            assert only.bgr.shape[:2] == (video.height, video.width) == size
            first, last = (only.bgr[:40], only.bgr[-40:]) if upright else (only.bgr[:, :40], only.bgr[:, -40:])
            assert first.mean() < 20 and last.mean() > 180


class Camera:
    """In the place of OpenCV's: so many frames, then nothing."""

    def __init__(self, number, *_):
        self.left, self.number = 3, number

    def isOpened(self):
        return self.number == 0

    def get(self, key):
        size = {cv2.CAP_PROP_FRAME_WIDTH: 8.0, cv2.CAP_PROP_FRAME_HEIGHT: 6.0}
        return (size | {cv2.CAP_PROP_FRAME_COUNT: -1.0}).get(key, 0.0)

    def grab(self):
        self.left -= 1
        return self.left >= 0

    def retrieve(self):
        return True, frame(self.left, (6, 8))

    def set(self, *_):
        return True

    def release(self):
        self.left = 0


def test_a_camera_is_opened_by_its_number_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    with open_video(0) as video:
        assert str(video) == "camera 0" and (video.count, video.rate) == (0, 25.0)
        times = [one.seconds for one in video.frames()]
    assert len(times) == 3 and times == sorted(times)
    with pytest.raises(UserError, match="camera 7 cannot be opened"), open_video(7):
        pass
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1").mkdir()
    named = map(camera_number, ("0", "1", "12", "1234", "-1", "0x1", "", "a"))
    assert list(named) == [0, None, 12, None, None, None, None, None]


@pytest.mark.parametrize("size,stored", [((64, 96), (64, 96)), ((63, 95), (64, 96))])
def test_an_mp4_holds_the_frames_that_were_written(tmp_path, size, stored):
    path = tmp_path / "new" / os.fsdecode(b"caf\xe9 %d.mp4")
    with written_video(path, 29.97) as write:
        for number in range(5):
            write(frame(number, size))
    with open_video(path) as video:
        assert (video.height, video.width) == stored and abs(video.rate - 29.97) < 0.001
        assert [grey(one.bgr) for one in video.frames()] == list(range(5))
    assert os.listdir(path.parent) == [path.name]


def test_a_frame_of_another_size_gets_that_of_the_first(tmp_path):
    with written_video(tmp_path / "a.mp4", 5) as write:
        for size in ((64, 96), (32, 32)):
            write(frame(3, size))
    assert [one[2] for one in read(tmp_path / "a.mp4")] == [3, 3]


def test_an_mp4_is_there_whole_or_not_at_all(tmp_path):
    (tmp_path / "a.mp4").write_text("before")
    with pytest.raises(KeyError), written_video(tmp_path / "a.mp4", 5) as write:
        write(frame(0))
        raise KeyError
    with pytest.raises(UserError, match="there are no frames"), written_video(tmp_path / "a.mp4", 5):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/a.mp4: cannot be written"), written_video(tmp_path / "file/a.mp4", 5):
        pass
    assert (tmp_path / "a.mp4").read_text() == "before" and sorted(os.listdir(tmp_path)) == ["a.mp4", "file"]


def test_frames_that_never_reached_the_disk_are_missed(tmp_path, monkeypatch):
    """OpenCV says nothing of a disk that is full. (To collect an instance of a subclass of its types is a segfault.)"""
    writer = cv2.VideoWriter

    class Silent:
        def __init__(self, *arguments):
            self.writer = writer(*arguments)
            self.isOpened, self.release = self.writer.isOpened, self.writer.release

        def write(self, picture):
            if not picture.any():
                self.writer.write(picture)

    monkeypatch.setattr(cv2, "VideoWriter", Silent)
    with pytest.raises(UserError, match="a.mp4: cannot be written"), written_video(tmp_path / "a.mp4", 5) as write:
        write(np.zeros((64, 96, 3), np.uint8))
        write(frame(1))
    assert not os.listdir(tmp_path)
