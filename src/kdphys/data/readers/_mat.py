"""MATLAB files, both formats: v5 through SciPy, v7.3 (HDF5) through h5py.

MATLAB stores arrays column by column: in a video of shape (T, H, W, 3) the T values of one pixel lie together. A v5
file must therefore be read as a whole to give its first frame: memory is that of the array, and is held only while the
video is iterated. A v7.3 file is chunked and is read in blocks of frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Frame, Video
from kdphys.errors import DataError, MissingExtraError, VideoError

#: Memory for a block of frames of a v7.3 file, bytes.
_BLOCK_BYTES = 64 << 20


class MatFile:
    """Variables of a MATLAB file, read one by one.

    Args:
        path: of the file.

    Raises:
        DataError: empty, truncated or another format.
        MissingExtraError: a v7.3 file, and h5py is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            head = file.read(520)
        if len(head) < 128:
            raise DataError(f"{path}: not a MATLAB file ({len(head)} bytes); is it cut off?")
        self.is_hdf5 = b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520]) or head.startswith(b"MATLAB 7.3")
        self.shapes: dict[str, tuple[int, ...]] = {}
        try:
            self.shapes = self._shapes_hdf5() if self.is_hdf5 else self._shapes_v5()
        except MissingExtraError:
            raise
        except Exception as error:  # whatever the parsers stumble over in a broken file
            raise DataError(f"{path}: not a whole MATLAB file ({error})") from error

    def _shapes_v5(self) -> dict[str, tuple[int, ...]]:
        from scipy.io import whosmat

        return {name: tuple(shape) for name, shape, _ in whosmat(str(self.path))}

    def _shapes_hdf5(self) -> dict[str, tuple[int, ...]]:
        """Shapes as MATLAB shows them; HDF5 lists the axes the other way round."""
        with self._hdf5() as file:
            return {k: tuple(reversed(v.shape)) for k, v in file.items() if hasattr(v, "shape")}

    def _hdf5(self) -> Any:
        try:
            import h5py
        except ImportError as error:
            raise MissingExtraError("h5py", "train") from error
        return h5py.File(self.path, "r")

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def read(self, name: str) -> NDArray[Any]:
        """A variable, with its axes in MATLAB's order; text comes as an array of strings.

        Raises:
            DataError: there is none of this name, or it cannot be read.
        """
        if name not in self.shapes:
            raise DataError(f"{self.path}: no variable {name!r}; it holds {', '.join(sorted(self.shapes)) or 'none'}")
        try:
            if self.is_hdf5:
                with self._hdf5() as file:
                    return self._decoded(file[name])
            from scipy.io import loadmat

            return np.asarray(loadmat(str(self.path), variable_names=[name])[name])
        except Exception as error:  # zlib, struct, OS and HDF5 errors of a broken file
            raise DataError(f"{self.path}: variable {name!r} cannot be read; is the file cut off? ({error})") from error

    @staticmethod
    def _decoded(item: Any) -> NDArray[Any]:
        array = np.asarray(item[()])
        if bytes(item.attrs.get("MATLAB_class", b"")) == b"char":
            return np.array(["".join(chr(int(c)) for c in array.T.reshape(-1))])
        return np.asarray(array.T)

    def vector(self, name: str) -> NDArray[np.float64]:
        """A variable as a vector of numbers, shape (N,).

        Raises:
            DataError: it is no vector of numbers.
        """
        array = np.asarray(self.read(name))
        if array.dtype.kind not in "fiub" or array.size == 0 or max(array.shape, default=0) != array.size:
            raise DataError(
                f"{self.path}: expected {name!r} to be a vector of numbers, got {array.dtype} {array.shape}"
            )
        return array.reshape(-1).astype(np.float64)

    def word(self, name: str) -> str:
        """A variable of one value as text.

        Raises:
            DataError: it holds none, or several.
        """
        array = np.asarray(self.read(name)).reshape(-1)
        if array.size != 1:
            raise DataError(f"{self.path}: expected one value in {name!r}, got {array.size}")
        value: Any = array[0]
        while isinstance(value, np.ndarray) and value.size == 1:
            value = value.reshape(-1)[0]
        if isinstance(value, (float, np.floating)) and float(value).is_integer():
            value = int(value)
        return str(value).strip()


class MatVideo(Video):
    """A variable of shape (T, H, W, 3) in a MATLAB file as frames at a uniform rate.

    Args:
        mat: the file.
        variable: floats in [0, 1], or uint8.
        fs: frames per second.
        size: (width, height) to restore where the pictures were stored squeezed; as stored by default.

    Raises:
        DataError: no such variable, or another shape.
    """

    def __init__(self, mat: MatFile, variable: str, fs: float, size: tuple[int, int] | None = None) -> None:
        if variable not in mat:
            raise DataError(f"{mat.path}: no variable {variable!r}; it holds {', '.join(sorted(mat.shapes)) or 'none'}")
        shape = mat.shapes[variable]
        if len(shape) != 4 or shape[3] != 3 or 0 in shape:
            raise DataError(f"{mat.path}: expected {variable!r} of shape (frames, height, width, 3), got {shape}")
        self.mat, self.variable, self.path = mat, variable, mat.path
        self.name = mat.path.name
        self.fps = fs
        self.n_frames = shape[0]
        self.duration_s = shape[0] / fs
        self.stored = (shape[2], shape[1])
        self.width, self.height = size or self.stored

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            VideoError: the file is truncated, or its values are not pictures.
        """
        assert self.n_frames is not None
        n = 0
        try:
            for block in self._blocks():
                for picture in self._pictures(block):
                    yield Frame(picture, n / float(self.fps or 1.0))
                    n += 1
        except DataError as error:
            raise VideoError(str(error)) from error

    def _blocks(self) -> Iterator[NDArray[Any]]:
        """Arrays of shape (t, H, W, 3)."""
        if not self.mat.is_hdf5:
            yield self.mat.read(self.variable)
            return
        with self.mat._hdf5() as file:
            item = file[self.variable]  # (3, W, H, T)
            one = int(np.prod(item.shape[:3])) * item.dtype.itemsize
            step = max(_BLOCK_BYTES // one, 1)
            if item.chunks:  # whole chunks, so that none is unpacked twice
                step = max(step // item.chunks[3], 1) * item.chunks[3]
            for start in range(0, item.shape[3], step):
                try:
                    block = item[..., start : start + step]
                except OSError as error:
                    raise VideoError(f"{self.path}: frames from {start} on cannot be read ({error})") from error
                yield np.transpose(block, (3, 2, 1, 0))

    def _pictures(self, block: NDArray[Any]) -> Iterator[NDArray[np.uint8]]:
        for raw in block:
            if raw.dtype == np.uint8:
                rgb = np.ascontiguousarray(raw)
            else:
                low, high = float(raw.min()), float(raw.max())
                if not (low >= -1e-3 and high <= 1 + 1e-3):  # also refuses NaN
                    raise VideoError(f"{self.path}: expected pictures in [0, 1], got values from {low:g} to {high:g}")
                rgb = np.clip(np.rint(np.asarray(raw, np.float32) * 255), 0, 255).astype(np.uint8, order="C")
            if (self.width, self.height) != self.stored:
                rgb = np.asarray(cv2.resize(rgb, (self.width, self.height), interpolation=cv2.INTER_LINEAR), np.uint8)
            yield rgb

    @property
    def notes(self) -> tuple[str, ...]:
        """That the shape was restored, where it was."""
        if (self.width, self.height) == self.stored:
            return ()
        w, h = self.stored
        return (f"stored squeezed as {w}×{h}, shown as {self.width}×{self.height}",)
