"""Real encoders: pictures in, pictures as a viewer gets them out."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.clip.crop import crop, square
from kdphys.clip.steady import Steady
from kdphys.containers import Frame
from kdphys.data.synth.compose import Composer
from kdphys.data.synth.scene import Codec
from kdphys.data.synth.shade import Shader
from kdphys.errors import InvalidInputError

Floats = NDArray[np.floating[Any]]

#: name → (encoder, pixel format)
ENCODERS = {"h264": ("libx264", "yuv420p"), "mpeg4": ("mpeg4", "yuv420p"), "mjpeg": ("mjpeg", "yuvj420p")}
_REFERENCE_PIXELS = 640 * 480


def encode(
    frames: Iterable[NDArray[np.uint8]], file: str | BinaryIO, codec: Codec, fps: float, container: str | None = None
) -> None:
    """Encode RGB pictures of one size at a constant rate.

    Args:
        frames: uint8 (H, W, 3), H and W even.
        file: a path or a binary file.
        codec: encoder, bit rate (for 640 × 480, scaled with the area), GOP, preset.
        fps: frames per second.
        container: format name when ``file`` has no telling suffix.

    Raises:
        InvalidInputError: an unknown codec, odd picture sizes, or no pictures.
    """
    if codec.kind not in ENCODERS:
        raise InvalidInputError(f"codec: expected one of {', '.join(ENCODERS)}, got {codec.kind!r}")
    encoder, pixels = ENCODERS[codec.kind]
    rate = Fraction(fps).limit_denominator(1001)
    stream: Any = None
    with av.open(file, "w", format=container) as out:
        for number, frame in enumerate(frames):
            if stream is None:
                stream = _stream(out, encoder, pixels, frame, codec, rate)
            picture = _to_yuv(frame, pixels)
            picture.pts, picture.time_base = number, 1 / rate
            out.mux(stream.encode(picture))
        if stream is None:
            raise InvalidInputError("codec: there is no picture to encode")
        out.mux(stream.encode(None))


def _stream(out: Any, encoder: str, pixels: str, frame: NDArray[np.uint8], codec: Codec, rate: Fraction) -> Any:
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        raise InvalidInputError(f"codec: expected an even width and height, got {width}×{height}")
    stream = out.add_stream(encoder, rate=rate)
    stream.width, stream.height, stream.pix_fmt = width, height, pixels
    stream.time_base = 1 / rate
    bits = int(codec.mbps * 1e6 * (width * height / _REFERENCE_PIXELS) ** 0.75)
    context = stream.codec_context
    context.bit_rate, context.gop_size, context.thread_count = bits, codec.gop, 1
    if codec.kind == "h264":
        stream.options = {"preset": codec.preset, "maxrate": str(2 * bits), "bufsize": str(2 * bits)}
    if codec.kind == "mjpeg":
        context.qmin, context.qmax = 2, 31
    return stream


def _to_yuv(frame: NDArray[np.uint8], pixels: str) -> av.VideoFrame:
    if pixels == "yuv420p":  # OpenCV's conversion (BT.601, limited range) is several times faster than swscale's
        return av.VideoFrame.from_ndarray(cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420), format="yuv420p")
    picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
    return picture.reformat(format=pixels, dst_colorspace="ITU601")


def decode(file: str | BinaryIO) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a video, uint8 (H, W, 3) RGB."""
    with av.open(file, "r") as source:
        source.streams.video[0].codec_context.thread_count = 1
        for frame in source.decode(video=0):
            if frame.format.name == "yuv420p":
                yield np.asarray(cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420), np.uint8)
            else:
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _jpeg(frame: NDArray[np.uint8], mbps: float, fps: float) -> NDArray[np.uint8]:
    """What a webcam does before anyone sees the picture."""
    bits = mbps * 1e6 / fps / _REFERENCE_PIXELS
    quality = int(np.clip(30 + 50 * np.log10(bits / 0.1), 30, 97))
    coded = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def render_through_codec(shader: Shader, size: int) -> NDArray[np.float32]:
    """Draw a clip at its real size in pixels with what is around it, encode and decode it, and crop the face.

    Returns:
        float32 (N, size, size, 3), 0–255, at the camera's frames.
    """
    scene = shader.scene
    windows = shader.windows() * scene.camera.face_px * scene.codec.downscale
    face_px = scene.camera.face_px * scene.codec.downscale
    half = windows[:, 2] / 2
    low = (windows[:, :2] - half[:, None]).min(axis=0)
    high = (windows[:, :2] + half[:, None]).max(axis=0)
    around = 0.12 * float(np.median(windows[:, 2]))
    reach = 1.3 * float(np.median(windows[:, 2]))  # a picture has an end: far excursions leave it
    low, high = np.maximum(low - around, -reach), np.minimum(high + around, reach)
    width, height = (int(v) for v in np.maximum(np.ceil((high - low) / 16), 3) * 16)
    composer = Composer(shader, width, height, (float(-low[0]), float(-low[1])), face_px)
    pictures: Iterable[NDArray[np.uint8]] = composer.frames()
    if scene.codec.first_mjpeg:
        pictures = (np.ascontiguousarray(_jpeg(p, scene.codec.first_mjpeg, scene.camera.fps)) for p in pictures)
    file = io.BytesIO()
    encode(pictures, file, scene.codec, scene.camera.fps, "matroska")
    file.seek(0)
    out = np.empty((len(windows), size, size, 3), np.float32)
    steady = Steady() if scene.framing.held else None
    count = 0
    for count, picture in enumerate(decode(file), 1):
        x, y, side = windows[count - 1]
        centre = np.array([x, y]) - low
        centre = np.clip(centre, 1, [width - 1, height - 1])
        half = side / scene.framing.scale / 2
        box = np.concatenate([centre - half, centre + half])
        if steady:
            box = steady(Frame(picture, float(shader.tracks.times[count - 1])), box)
        out[count - 1] = crop(picture, square(box, scene.framing.scale), size)
    if count != len(windows):
        raise InvalidInputError(f"codec: {len(windows)} pictures went in, {count} came out")
    return out
