"""Files that are damaged, cut off, or no video at all: a clear message, or the rest of the frames and a note."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from kdphys.errors import InvalidInputError, VideoError
from kdphys.video.reader import read_video
from tests.video.make import damage, write_video

H, W, N = 120, 160, 90


def pictures(n: int = N) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (H // 20, W // 20, 3), dtype=np.uint8)
    base = cv2.resize(blocks, (W, H), interpolation=cv2.INTER_CUBIC)
    return [np.roll(base, 3 * k, axis=1) for k in range(n)]


DAMAGEABLE = [
    ("libx264", "yuv420p", "mp4", {"g": "30"}),
    ("libx264", "yuv420p", "ts", {"g": "30"}),
    ("libx265", "yuv420p", "mp4", {"x265-params": "keyint=30:log-level=none"}),
    ("libvpx-vp9", "yuv420p", "webm", {"g": "30", "deadline": "realtime", "cpu-used": "8"}),
    ("mpeg4", "yuv420p", "avi", {"g": "15"}),
    ("mjpeg", "yuvj420p", "mov", {}),
]
# Any noise decodes to something in their arithmetic coders: only damage to the headers is noticed.
HIDING = ("libx265", "libvpx-vp9")


@pytest.mark.parametrize(("codec", "pix_fmt", "suffix", "options"), DAMAGEABLE)
def test_corrupt_middle_is_a_gap(
    codec: str, pix_fmt: str, suffix: str, options: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every frame that comes out is the frame of the clean file; what is built on damage is left out and counted."""
    clean = tmp_path / f"clean.{suffix}"
    try:
        write_video(clean, pictures(), codec=codec, pix_fmt=pix_fmt, options=options, bit_rate=1_000_000)
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV cannot write {codec}")
    whole = {f.t: f.rgb for f in read_video(clean)}
    assert len(whole) == N
    capfd.readouterr()
    video = read_video(damage(clean, tmp_path / f"hit.{suffix}", range(40, 43), at=0.0 if codec in HIDING else 1 / 3))
    times = []
    for frame in video:
        assert np.array_equal(frame.rgb, whole[frame.t]), f"the frame at {frame.t:.3f} s is not what was recorded"
        times.append(frame.t)
    assert N // 2 < len(times) < N
    assert times[-1] == max(whole), "the rest is read"
    lost = N - len(times)
    (note,) = video.notes
    assert "corrupt frame" in note
    assert "between 1." in note
    assert abs(int(note.split()[0]) - lost) <= 1
    (k,) = np.flatnonzero(np.diff(times) > 1.5 / 30)
    assert f"{times[k]:.2f} s and {times[k + 1]:.2f} s" in note
    assert capfd.readouterr() == ("", ""), "no decoder noise on the terminal"
    before = video.notes
    list(video)
    assert video.notes == before, "the notes are of the last iteration alone"


def test_many_stretches_are_summed_up(tmp_path: Path) -> None:
    clean = write_video(tmp_path / "clean.avi", pictures(), codec="mjpeg", pix_fmt="yuvj420p")
    video = read_video(damage(clean, tmp_path / "hit.avi", range(5, 85, 8)))
    assert len(list(video)) == N - 10
    assert len(video.notes) == 6
    assert video.notes[-1] == "5 corrupt frames more left out in 5 stretches"


def test_pauses_are_said(tmp_path: Path) -> None:
    """A camera that stops for a while, or a container that has lost its packets without a trace."""
    times = [*(k / 10 for k in range(20)), *(k / 10 for k in range(30, 50)), *(k / 10 for k in range(55, 60))]
    video = read_video(write_video(tmp_path / "pause.mkv", pictures(45), times=times))
    assert [f.t for f in video] == pytest.approx(times, abs=1e-6)
    assert video.notes == ("no frames between 1.90 s and 3.00 s", "no frames between 4.90 s and 5.50 s")
    slow = read_video(write_video(tmp_path / "slow.mkv", pictures(10), times=[float(k) for k in range(10)]))
    assert len(list(slow)) == 10
    assert slow.notes == ()


def test_given_rate_keeps_the_gap(tmp_path: Path) -> None:
    """Frames that are lost take their places with them."""
    clean = write_video(tmp_path / "clean.avi", pictures(), codec="mjpeg", pix_fmt="yuvj420p")
    hit = damage(clean, tmp_path / "hit.avi", range(40, 43))
    assert [round(f.t * 10) for f in read_video(hit, fs=10.0)] == [*range(40), *range(43, N)]
    times = np.arange(N) * 0.2
    assert [f.t for f in read_video(hit, times=times)] == pytest.approx([*times[:40], *times[43:]])


# One frame is still in the decoder of MPEG-4.
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "gop", "last"), [("mjpeg", "yuvj420p", 1, 39), ("mpeg4", "yuv420p", 12, 38)]
)
def test_frames_that_an_avi_has_lost_take_their_time_with_them(
    codec: str, pix_fmt: str, gop: int, last: int, tmp_path: Path
) -> None:
    """An AVI holds no times, and where it is damaged FFmpeg goes on counting from the next frame that it finds: what
    follows would come early, and a heart would beat fast."""
    options = {"g": str(gop)}
    clean = write_video(tmp_path / "clean.avi", pictures(), codec=codec, pix_fmt=pix_fmt, options=options)
    whole = {f.t: f.rgb for f in read_video(clean)}
    with av.open(str(clean)) as container:
        places = [p.pos for p in container.demux(video=0) if p.size]
    data = bytearray(clean.read_bytes())
    data[places[40] - 8 : places[50] - 8] = bytes(places[50] - places[40])
    hit = tmp_path / "hit.avi"
    hit.write_bytes(data)
    video = read_video(hit)
    seen = {f.t: f.rgb for f in video}
    after = -(-50 // gop) * gop  # the next whole picture
    assert list(seen) == [t for k, t in enumerate(whole) if k <= last or k >= after]
    assert all(np.array_equal(rgb, whole[t]) for t, rgb in seen.items())
    gone = f"{after - last - 1} corrupt frames left out between {last / 30:.2f} s and {after / 30:.2f} s"
    assert video.notes == (gone,)

    # Without its index nothing tells how much is missing: what follows has no time.
    hit.write_bytes(data[: data.rindex(b"idx1")])
    video = read_video(hit)
    assert [f.t for f in video][:39] == list(whole)[:39]
    assert len(list(video)) <= 40
    assert any("damaged there, and no index tells" in note for note in video.notes)
    intact = clean.read_bytes()
    clean.write_bytes(intact[: intact.rindex(b"idx1")])
    video = read_video(clean)
    assert [f.t for f in video] == list(whole)
    assert video.notes == ()


def cut(path: Path, share: float) -> Path:
    out = path.with_name(f"cut{path.suffix}")
    data = path.read_bytes()
    out.write_bytes(data[: int(share * len(data))])
    return out


def test_cut_off_mp4(tmp_path: Path) -> None:
    for suffix in ("mp4", "mov"):
        path = write_video(tmp_path / f"clip.{suffix}", pictures())
        with pytest.raises(VideoError, match="cut off"):
            read_video(cut(path, 0.6))
        with pytest.raises(VideoError, match="cut off"):
            read_video(cut(path, 0.99))
    options = {"movflags": "faststart"}
    fast = write_video(tmp_path / "fast.mp4", pictures(), container_options=options)
    assert len(list(read_video(fast))) == N
    with pytest.raises(VideoError, match=r"cut off: [\d,]+ bytes are promised"):
        read_video(cut(fast, 0.9))


def test_unfinished_recording(tmp_path: Path) -> None:
    """The box of the pictures is whole, the index was never written."""
    path = write_video(tmp_path / "clip.mp4", pictures())
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])
    with pytest.raises(VideoError, match="cut off before its index"):
        read_video(path)


@pytest.mark.parametrize("suffix", ["mkv", "avi", "ts"])
def test_cut_off_streams_are_read_to_the_cut(suffix: str, tmp_path: Path) -> None:
    path = cut(write_video(tmp_path / f"clip.{suffix}", pictures(), codec="mpeg4", bit_rate=500_000), 0.5)
    video = read_video(path)
    times = [f.t for f in video]
    assert 20 < len(times) < 80
    if suffix != "ts":  # it promises nothing
        assert any("promise" in note or "stops" in note for note in video.notes)


def sound(path: Path, cover: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        picture = None
        if cover:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        for _ in range(20):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            samples.rate = 44100
            container.mux(stream.encode(samples))
        container.mux(stream.encode())
        if picture is not None:
            art = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(art))
            container.mux(picture.encode())
    return path


def test_a_stream_that_comes_in_the_middle_is_let_pass(tmp_path: Path) -> None:
    """As in a recorded broadcast, far behind what is looked at for streams when a file is opened. PyAV then reads
    beyond its list of them, and may or may not find something there."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (H, W, 3), dtype=np.uint8) for _ in range(40)]
    first = write_video(tmp_path / "first.ts", noise * 6, options={"qp": "1", "preset": "ultrafast"})
    more = write_video(tmp_path / "more.ts", noise, container_options={"mpegts_start_pid": "512"})
    last = write_video(tmp_path / "last.ts", noise, times=[10 + k / 30 for k in range(40)], options={"qp": "1"})
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + more.read_bytes() + last.read_bytes())
    with av.open(str(both)) as container:
        assert len(container.streams) == 1
    for _ in range(4):
        assert len(list(read_video(both))) == 280


def test_files_that_are_no_video(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("no video at all" * 100)
    plain = tmp_path / "notes.txt"
    plain.write_text("hello\n" * 100)
    playlist = tmp_path / "list.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{text}\n#EXT-X-ENDLIST\n")
    concat = tmp_path / "concat.mp4"
    concat.write_text("ffconcat version 1.0\nfile text.mp4\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "clip.mp4").touch()
    for path, words in (
        (tmp_path / "none.mp4", "no such file"),
        (empty, "is empty"),
        (text, "not a video"),
        (plain, "not a video"),
        (playlist, "a list of others"),
        (concat, "a list of others"),
        (sound(tmp_path / "sound.mp4"), "no video in this file .it holds audio"),
        (sound(tmp_path / "cover.mp4", cover=True), "no video in this file .it holds audio, cover picture"),
        (folder, "no images"),
    ):
        with pytest.raises(VideoError, match=words):
            read_video(path)
    with pytest.raises(InvalidInputError, match="path or a NumPy array"):
        read_video([1, 2])  # type: ignore[arg-type]


def test_video_without_frames(tmp_path: Path) -> None:
    """A header, an index, and not one picture that can be decoded."""
    path = write_video(tmp_path / "clip.avi", pictures(3), codec="mjpeg", pix_fmt="yuvj420p")
    data = path.read_bytes()
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(container.streams.video[0]) if p.size]
    for at, size in places:
        data = data[: at + 8] + bytes(size) + data[at + 8 + size :]
    path.write_bytes(data)
    with pytest.raises(VideoError, match="not one frame"):
        read_video(path)


@pytest.mark.parametrize(("codec", "pix_fmt", "name"), [("libx264", "yuv420p", "h264"), ("mjpeg", "yuvj420p", "mjpeg")])
def test_stream_without_times_needs_a_rate(codec: str, pix_fmt: str, name: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"raw.{name}", pictures(30), codec=codec, pix_fmt=pix_fmt, format=name)
    with pytest.raises(VideoError, match="no timestamps"):
        read_video(path)
    times = [f.t for f in read_video(path, fs=24.0)]
    assert len(times) == 30
    assert np.median(np.diff(times)) == pytest.approx(1 / 24)


def test_more_frames_than_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", pictures(10))
    with pytest.raises(VideoError, match="more frames than the 9 times"):
        list(read_video(path, times=np.arange(9)))
    video = read_video(path, times=np.arange(12))
    assert len(list(video)) == 10
    assert "12 times were given and the file has 10 frames" in video.notes[0]
    video = read_video(path, times=np.arange(11))
    assert len(list(video)) == 10
    assert "11 times were given and the file has 10 frames" in video.notes[0]
    for bad, words in (([0, 1, np.nan], "finite"), ([[0, 1]], "shape")):
        with pytest.raises(InvalidInputError, match=words):
            read_video(path, times=bad)
    with pytest.raises(InvalidInputError, match="not both"):
        read_video(path, times=[0, 1], fs=30.0)
    with pytest.raises(InvalidInputError, match="positive rate"):
        read_video(path, fs=float("nan"))
    with pytest.raises(InvalidInputError, match="positive rate"):
        read_video(path, fs="30")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="must be numbers"):
        read_video(path, times=["a", "b"])


def test_what_was_cut_away_without_a_new_encoding_is_not_missing(tmp_path: Path) -> None:
    """As FFmpeg's "-ss 1.2 -c copy" does: pictures before the cut stay in the file, its edit list hides them."""
    whole, trimmed = write_video(tmp_path / "whole.mp4", pictures(90), options={"g": "30"}), tmp_path / "trimmed.mp4"
    options = {"avoid_negative_ts": "disabled"}
    with av.open(str(whole)) as source, av.open(str(trimmed), "w", container_options=options) as out:
        one = source.streams.video[0]
        stream, cut = out.add_stream_from_template(one), round(1.2 / one.time_base)
        source.seek(cut, stream=one)
        for packet in source.demux(one):
            if packet.pts is not None and packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - cut, packet.dts - cut, stream
                out.mux(packet)
    video = read_video(trimmed)
    times = [f.t for f in video]
    assert video.n_frames == 60
    assert times == pytest.approx(np.arange(54) / 30)
    assert video.notes == ()


def test_times_that_do_not_increase_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "back.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = W, H, "yuvj420p"
        for k, rgb in enumerate(pictures(30)):
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
                if k == 20:
                    packet.pts = packet.dts = 19  # the same time once more
                container.mux(packet)
    with pytest.raises(VideoError, match=r"frame 20 is at 0\.\d+ s after 0\.633"):
        list(read_video(path))
    assert len(list(read_video(path, fs=30.0))) == 30


def test_too_large_is_refused_before_decoding(tmp_path: Path) -> None:
    for codec, pix_fmt, suffix in (("mjpeg", "yuvj420p", "avi"), ("png", "rgb24", "mov")):
        path = tmp_path / f"huge.{suffix}"
        write_video(path, [np.zeros((16, 9000, 3), np.uint8)], codec=codec, pix_fmt=pix_fmt)
        with pytest.raises(VideoError, match="larger than 8192"):
            read_video(path)


def test_change_of_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.ts"
    parts = [
        write_video(tmp_path / f"{k}.ts", [np.zeros((s, s, 3), np.uint8)] * 5, codec="mpeg2video").read_bytes()
        for k, s in enumerate((64, 96))
    ]
    path.write_bytes(b"".join(parts))
    with pytest.raises(VideoError, match="changes from 64×64 to 96×96"):
        list(read_video(path, fs=30.0))


def test_an_avi_with_pictures_left_out_is_whole_and_a_cut_one_is_not(tmp_path: Path) -> None:
    """AVI counts an empty place for a picture that never came."""
    shown = [k for k in range(240) if k % 3]
    path = tmp_path / "vfr.avi"
    write_video(path, [pictures(1)[0]] * len(shown), codec="mjpeg", pix_fmt="yuvj420p", times=[k / 30 for k in shown])
    video = read_video(path)
    assert len(list(video)) == len(shown)
    assert not any("ends early" in note for note in video.notes)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    video = read_video(cut)
    assert len(list(video)) < 0.8 * len(shown)
    assert any("ends early" in note for note in video.notes)
