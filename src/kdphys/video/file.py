"""A video file, decoded as it is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from heapq import heappop, heappush
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import ArrayLike

from kdphys.containers import Frame, Video
from kdphys.errors import VideoError
from kdphys.video.mp4 import check_whole
from kdphys.video.notes import Losses
from kdphys.video.packets import AviPlaces, demux
from kdphys.video.picture import MAX_PIXELS, Painter, check_size, describe_colours, orientation
from kdphys.video.refresh import Refreshes
from kdphys.video.timeline import check_order, frame_times

# Demuxers that follow references to other files or addresses, read devices, or take any text for a picture.
_NOT_FILES = frozenset(
    {"applehttp", "hls", "dash", "concat", "imf", "sdp", "rtp", "rtsp", "sap", "image2", "image2pipe", "lavfi", "tty"}
    | {"bin", "adf", "idf", "xbin", "vapoursynth", "avisynth", "txd"}
)
_NO_TIMESTAMPS = 0x0080  # AVFMT_NOTIMESTAMPS: a bare stream; its times are made up from the nominal rate
# Decoders that hide damage unless told to stop at it.
_STRICT = frozenset({"hevc", "mjpeg"})
# Every thread holds pictures: more of them would cost memory and gain little at these sizes.
_MAX_THREADS = 4


class VideoFile(Video):
    """A video file, decoded as it is read; memory does not grow with its length.

    Times are the stream's own presentation times, in seconds on its own clock (which need not start at 0). AVI has
    none: there the pictures take the places of their packets, in order.

    What follows a corrupt frame is left out up to the next key frame, because it is built on the damage. Decoders do
    not notice all damage: noise inside the coded data of HEVC, VP8, VP9 and FFV1 may come out as pictures.

    Args:
        path: of the file.
        fs: rate in Hz, instead of the stream's own times.
        times: (T,) seconds, one for each frame, instead of the stream's own times.

    Attributes:
        path: of the file.
        codec: "h264", "hevc", …
        pixel_format: as FFmpeg calls it: "yuv420p", "yuv420p10le", …
        format: the container: "mov,mp4,m4a,3gp,3g2,mj2", …

    Raises:
        VideoError: missing, empty, cut off, without video, too large, not decodable, or without times.
        InvalidInputError: ``fs`` and ``times`` that do not fit.
    """

    def __init__(self, path: Path, fs: float | None = None, times: ArrayLike | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self._fs, self._times = fs, frame_times(self.name, None, fs, times)
        self._losses = Losses()
        self._refreshes = Refreshes()
        self._strict = True
        _check_file(self.path)
        with self._open() as container:
            self._describe(container, self._stream(container))
        try:
            self._look(strict=True)
        except VideoError:
            self._strict = False
            self._look(strict=False)

    def _open(self) -> InputContainer:
        allowed = ",".join(sorted(av.formats_available - _NOT_FILES))
        options = {"format_whitelist": allowed, "protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
        try:
            return av.open(str(self.path.absolute()), "r", options=options, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise VideoError(f"{self.path}: not a video that can be read ({why})") from error

    def _stream(self, container: InputContainer) -> VideoStream:
        """The stream to read: not a cover picture; the default one; the largest."""
        covers = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
        streams = [s for s in container.streams.video if not s.disposition & covers]
        if not streams:
            kinds = sorted({"cover picture" if s.type == "video" else s.type for s in container.streams})
            raise VideoError(f"{self.path}: no video in this file (it holds {', '.join(kinds) or 'nothing'})")
        known = [s for s in streams if s.codec_context is not None]
        if not known:
            raise VideoError(f"{self.path}: there is no decoder for its video here; convert it to H.264")
        default = av.stream.Disposition.default
        stream = max(
            known, key=lambda s: (bool(s.disposition & default), s.codec_context.width * s.codec_context.height)
        )
        check_size(str(self.path), stream.codec_context.width, stream.codec_context.height)
        return stream

    def _describe(self, container: InputContainer, stream: VideoStream) -> None:
        self.codec = stream.codec_context.name
        self.format = container.format.name
        self.fps = float(stream.average_rate) if stream.average_rate else None
        self.n_frames = stream.frames or None
        if stream.duration and stream.time_base:
            self.duration_s = float(stream.duration * stream.time_base)
        elif container.duration:
            self.duration_s = container.duration / av.time_base
        self._bits_per_s = stream.bit_rate
        if not self._bits_per_s and self.duration_s:
            self._bits_per_s = int(8 * self.path.stat().st_size / self.duration_s)
        bare = bool(container.format.flags & _NO_TIMESTAMPS)
        if bare and self._fs is None and self._times is None:
            raise VideoError(
                f"{self.path}: its stream has no timestamps; give its rate with fs (measure --fs), or put it into a "
                "container (MP4, MKV)"
            )

    def _look(self, strict: bool) -> None:
        """Decode up to the first good picture: it says how the video is shown."""
        with self._open() as container:
            for picture, _ in _decode(container, self._stream(container), strict, threads=1):
                if picture is not None and not picture.is_corrupt:
                    break
                if picture is None and strict:
                    raise VideoError(f"{self.path}: its first packet is not clean")  # or odd: try without strictness
            else:
                raise VideoError(f"{self.path}: not one frame can be decoded")
        self.pixel_format = picture.format.name
        check_size(str(self.path), picture.width, picture.height)
        try:
            self._rotation, self._turn = picture.rotation, orientation(picture)
        except VideoError as error:
            raise VideoError(f"{self.path}: {error}") from None
        self.width, self.height = picture.width, picture.height
        if self._turn[0]:
            self.width, self.height = self.height, self.width

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; corrupt ones are left out, counted and located in :attr:`notes`.

        Raises:
            VideoError: times that are missing or do not increase, a change of size, more frames than times, or no
                frame.
        """
        losses, refreshes = Losses(), Refreshes()
        self._losses, self._refreshes = losses, refreshes
        paint = Painter(str(self.path), self._rotation, self._turn)
        wait_for_key = False
        last = -np.inf
        n = 0  # of frames yielded
        with self._open() as container:
            pictures = _decode(container, self._stream(container), self._strict, _MAX_THREADS, losses)
            for index, (picture, own) in enumerate(pictures):
                if picture is None or picture.is_corrupt or (wait_for_key and not picture.key_frame):
                    wait_for_key = True
                    losses.lost()
                    continue
                wait_for_key = False
                t = self._time(index, own)
                check_order(
                    str(self.path),
                    index,
                    last,
                    t,
                    "re-encode it with correct timestamps, or give its rate with fs (measure --fs)",
                )
                losses.good(t)
                refreshes.add(t, picture.key_frame)
                rgb = paint(picture)
                if rgb.shape[:2] != (self.height, self.width):
                    raise VideoError(
                        f"{self.path}: the picture changes from {self.width}×{self.height} to {rgb.shape[1]}×"
                        f"{rgb.shape[0]} at {t:.2f} s; split the video there"
                    )
                if n == 0 and (remark := describe_colours(picture)):
                    losses.remark(remark)
                losses.transparent = paint.transparent
                del picture  # it holds a buffer of the decoder while the caller works
                yield Frame(rgb, t)
                n, last = n + 1, t
        if n == 0:
            raise VideoError(f"{self.path}: not one frame can be decoded")
        self._finish(losses, n)

    def _time(self, index: int, own: float | None) -> float:
        if self._fs is not None:
            return index / self._fs
        if self._times is not None:
            if index >= len(self._times):
                raise VideoError(f"{self.path}: more frames than the {len(self._times)} times given for them")
            return float(self._times[index])
        if own is None:
            raise VideoError(
                f"{self.path}: frame {index} has no timestamp; give the rate of the file with fs (measure --fs)"
            )
        return own

    def _finish(self, losses: Losses, n: int) -> None:
        total = n + losses.count
        promised = self.n_frames
        seconds = losses.last - losses.first if losses.first is not None else 0.0
        duration = self.duration_s or 0.0
        if self._times is not None and total < len(self._times):
            losses.remark(f"{len(self._times)} times were given and the file has {total} frames")
        # AVI counts pictures that were never there: what lasts as long as so many would is whole. MP4 counts those that
        # its edit list cuts away: what lasts as long as it says is whole (AVI's length is guessed from its size).
        lasts, fps = 0.0, self.fps or 0.0
        if fps and self._times is None and self._fs is None:
            lasts = seconds + 1 / fps
        whole = lasts * fps >= 0.98 * (promised or 0)
        whole |= "mp4" in self.format and lasts >= 0.98 * (duration or np.inf)
        if promised and self._times is None and total < 0.98 * promised and not whole:
            losses.remark(
                f"the file ends early, at {losses.last:.2f} s: {promised} frames are promised and {total} are there"
            )
        known = not promised and self._fs is None and losses.first is not None
        if known and seconds < duration - max(1.0, 0.05 * duration):
            losses.remark(f"the file promises {duration:.1f} s and its pictures last {seconds:.1f} s")

    @property
    def beat_hz(self) -> float | None:
        """See :class:`kdphys.containers.Video`."""
        return self._refreshes.beat_hz((self._bits_per_s or 0) / (self.width * self.height), self.codec)

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong in the last iteration, so far: see :class:`kdphys.containers.Video`."""
        return self._losses.notes()


def _check_file(path: Path) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise VideoError(f"{path}: cannot be opened ({error.strerror})") from error
    if size == 0:
        raise VideoError(f"{path}: the file is empty")
    if head[:7] == b"#EXTM3U" or head[:8] == b"ffconcat":
        raise VideoError(f"{path}: not a video but a list of others; name one of those")
    check_whole(path)


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode(
    container: InputContainer, stream: VideoStream, strict: bool, threads: int, losses: Losses | None = None
) -> Iterator[tuple[av.VideoFrame | None, float | None]]:
    """Pictures in order of display with their times in seconds; a picture is None where one could not be decoded."""
    context = stream.codec_context
    context.thread_type = "AUTO"
    context.thread_count = min(threads, _cores())
    context.options = {"max_pixels": str(MAX_PIXELS)}
    if strict and context.name in _STRICT:
        context.options |= {"err_detect": "explode"}
    counted = AviPlaces(Path(container.name), stream) if container.format.name == "avi" else None
    waiting: list[int] = []  # the places of the packets that are in the decoder
    packets = demux(container, stream)
    while True:
        try:
            packet: Packet[VideoStream] | None = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as error:  # the container itself ends in the middle
            if losses is not None:
                losses.remark(f"reading stops before the end of the file ({error.strerror})")
            packet, packets = None, iter(())
        if counted is not None and packet is not None and packet.dts is not None:
            try:
                place, missing = counted(packet)
            except VideoError as error:
                if losses is not None:
                    losses.remark(f"reading stops before the end of the file ({error})")
                packet, packets = None, iter(())
            else:
                heappush(waiting, place)
                for _ in range(missing):
                    yield None, None
        try:
            pictures = stream.decode(packet)
        except EOFError:
            continue
        except av.error.FFmpegError:
            with suppress(IndexError):
                heappop(waiting)
            yield None, None
            continue
        for picture in pictures:
            own = heappop(waiting) if counted is not None and waiting else picture.pts
            base = picture.time_base or stream.time_base
            yield picture, None if own is None or base is None else float(own * base)
