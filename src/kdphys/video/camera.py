"""A camera of this machine, and which ones there are."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import av
import av.error
import cv2
import numpy as np

from kdphys.containers import Frame
from kdphys.errors import InvalidInputError, VideoError
from kdphys.video.live import Anchor, LiveSource, pictures
from kdphys.video.picture import check_size

#: What the camera is asked for. It gives what is nearest to it.
WIDTH, HEIGHT, FPS = 640, 480, 30

# VIDIOC_QUERYCAP of linux/videodev2.h: struct v4l2_capability of 104 bytes.
_QUERYCAP, _QUERYCAP_SIZE = 0x80685600, 104
_CAN_CAPTURE = 0x00000001 | 0x00001000  # one plane, several planes
_SAYS_DEVICE = 0x80000000  # the node's own capabilities stand in their own field


class Camera(LiveSource):
    """A camera: on Linux by Video4Linux with the kernel's own times, elsewhere by OpenCV with those of arrival.

    It is asked for 640×480 at 30 frames a second, and gives what is nearest to that.

    Args:
        device: its number, or on Linux its path ("/dev/video2", "/dev/v4l/by-id/…").

    Raises:
        InvalidInputError: neither a number nor a path.
    """

    def __init__(self, device: int | str = 0) -> None:
        text = str(device).strip()
        if not text.isdecimal() and not (_is_linux() and text.startswith("/dev/")):
            raise InvalidInputError(f"camera {text!r}: expected a number such as 0{_or_a_path()}")
        self._number = int(text) if text.isdecimal() else None
        self._path = f"/dev/video{self._number}" if self._number is not None else text
        self.name = f"camera {self._number}" if self._number is not None else text
        self._anchor = Anchor()

    def connect(self, stop: Event) -> Iterator[Frame]:
        """See :meth:`LiveSource.connect`."""
        return self._v4l2(stop) if _is_linux() else self._opencv(stop)

    def _v4l2(self, stop: Event) -> Iterator[Frame]:
        options = {"video_size": f"{WIDTH}x{HEIGHT}", "framerate": str(FPS)}
        try:
            container = av.open(self._path, "r", format="v4l2", options=options)
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(self._why(error)) from error
        self._anchor.renew()
        with container:
            try:
                for rgb, own in pictures(container, self, stop):
                    yield Frame(rgb, self._anchor(own, time.monotonic(), self.waited_s))
            except (av.error.FFmpegError, OSError) as error:
                raise VideoError(self._why(error, was_open=True)) from error
        if not stop.is_set():
            raise VideoError(f"{self.name}: it gives no more frames")

    def _opencv(self, stop: Event) -> Iterator[Frame]:
        capture = cv2.VideoCapture(self._number or 0)  # a path is refused elsewhere than on Linux
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, WIDTH)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, HEIGHT)
        capture.set(cv2.CAP_PROP_FPS, FPS)
        return opencv_frames(capture, self.name, stop)

    def _why(self, error: Exception, was_open: bool = False) -> str:
        code = getattr(error, "errno", None)
        path = self._path
        if was_open and code in (errno.ENODEV, errno.ENOENT, errno.EIO, errno.ENXIO):
            return f"{self.name}: it is gone (unplugged?)"
        if code in (errno.ENOENT, errno.ENXIO) or (code == errno.ENODEV and not os.path.exists(path)):
            return f"{self.name}: there is no such camera; {describe_cameras()}"
        if code in (errno.EACCES, errno.EPERM):
            return (
                f"{self.name}: permission denied for {path}; join the group that may use it "
                "(sudo usermod -aG video $USER, then log in again)"
            )
        if code == errno.EBUSY:
            return f"{self.name}: busy, another program is using {path}; close that one first"
        if code in (errno.ENODEV, errno.ENOTTY, errno.EINVAL):
            return f"{self.name}: {path} gives no pictures; {describe_cameras()}"
        return f"{self.name}: {path} cannot be used ({getattr(error, 'strerror', None) or error})"


def opencv_frames(capture: Any, name: str, stop: Event) -> Iterator[Frame]:
    """Frames of an open ``cv2.VideoCapture``, with the times when they came.

    Raises:
        VideoError: it is not open, or gives no more frames.
    """
    try:
        if not capture.isOpened():
            raise VideoError(
                f"{name}: it cannot be opened; is there such a camera, is another program using it, "
                "and may this program use it (privacy settings of the system)?"
            )
        while not stop.is_set():
            there, bgr = capture.read()
            now = time.monotonic()
            if not there:
                raise VideoError(f"{name}: it gives no more frames (unplugged?)")
            check_size(name, bgr.shape[1], bgr.shape[0])
            yield Frame(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), now)
    finally:
        capture.release()


def cameras(folder: Path = Path("/dev")) -> dict[Path, str]:
    """Cameras of this machine, path → what it calls itself; Linux only."""
    found = {}
    nodes = [p for p in folder.glob("video*") if re.fullmatch(r"video\d+", p.name)]
    for path in sorted(nodes, key=lambda p: int(p.name[5:])):
        name = _ask(path)
        if name is not None:
            found[path] = name
    return found


def describe_cameras() -> str:
    """Which cameras there are, as half a sentence."""
    if not _is_linux():
        return "which cameras there are cannot be asked on this system: try 0, 1, 2"
    found = cameras()
    if not found:
        return "this machine has none (no /dev/video*)"
    return "there are: " + ", ".join(f"{path.name[5:]} ({name})" for path, name in found.items())


def is_device(path: str) -> bool:
    """Whether a path is that of a device."""
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return False


def _ask(path: Path) -> str | None:
    """The name of a camera, or None: the node gives no pictures (cameras have others, for metadata)."""
    import fcntl

    try:
        node = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except PermissionError:
        return "permission denied"
    except OSError as error:
        return error.strerror
    try:
        answer = fcntl.ioctl(node, _QUERYCAP, bytes(_QUERYCAP_SIZE))
    except OSError:
        return None
    finally:
        os.close(node)
    whole, own = (int.from_bytes(answer[at : at + 4], sys.byteorder) for at in (84, 88))
    if not (own if whole & _SAYS_DEVICE else whole) & _CAN_CAPTURE:
        return None
    return answer[16:48].split(b"\0")[0].decode(errors="replace")


def _is_linux() -> bool:
    return sys.platform.startswith("linux")


def _or_a_path() -> str:
    return " or a path such as /dev/video0" if _is_linux() else ""
