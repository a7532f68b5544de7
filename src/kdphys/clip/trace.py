"""One face over time, reduced to numbers: the RGB trace and the evidence about its quality."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.clip.crop import LUMA, crop, square, surround
from kdphys.clip.skin import GRID, OVAL, SIZE, SkinWeights, brightest, sharpness, skin_means
from kdphys.clip.transform import Block, Resampler
from kdphys.containers import Evidence, Frame, RgbTrace
from kdphys.dsp import MAX_GAP_S

Floats = NDArray[np.floating[Any]]

_PATCHES = GRID * GRID
#: Below this mean difference of two faces, grey levels, the picture before is shown once more: it is not a new one.
_SHOWN_AGAIN = 0.05
#: Where the place of the face (x, y, half its width) and the colours of the patches are in a row; mean R, G, B, luma,
#: clipped share, motion, surround, rate come first, sharpness between them.
PLACE = slice(8, 11)
COLOURS = PLACE.stop + 1


def evidence_of(table: Floats, patches: NDArray[Any], beat_hz: float | None = None) -> Evidence:
    """The evidence that rows hold.

    Args:
        table: (T, COLOURS or more) rows, NaN in gaps.
        patches: (T, P, 3) mean colours of the patches that were seen, 0–255.
        beat_hz: of the evidence.
    """
    around = table[:, 6]
    return Evidence(
        rgb=table[:, :3],
        patches=patches,
        luma=table[:, 3],
        clipped=table[:, 4],
        motion=table[:, 5],
        surround=np.where(around < 0, np.nan, around),  # negative: never seen
        rate=table[:, 7],
        place=table[:, PLACE],
        sharpness=table[:, PLACE.stop],
        beat_hz=beat_hz,
    )


class TraceBuilder:
    """Collects one person's skin colour, frame by frame; memory is some hundred bytes a frame.

    Args:
        fs: sampling rate of the trace in Hz.
        t0: time of the trace's first sample in seconds; that of the first frame by default.
        whole: take the box as it is and weigh all its pixels alike (a finger on the lens, a patch of skin) instead of
            looking for the skin of a face in it.
    """

    def __init__(self, fs: float = 30.0, t0: float | None = None, whole: bool = False) -> None:
        self.fs, self.t0, self.whole = fs, t0, whole
        self._skin = SkinWeights()
        self._stream: Resampler | None = None
        self._blocks: list[Block] = []
        self._last: tuple[float, Floats] | None = None
        self._held = np.zeros((_PATCHES, 3))  # the last colour of each patch, for the few frames that miss it
        self._seen = np.zeros(_PATCHES)
        self._rate = fs  # new pictures a second, by the last step; the first frame has none
        self._new: tuple[float, NDArray[np.float32]] | None = None  # the last picture that was not the one before
        self._count = 0
        self._unit = 0.0  # width of the face when it was first seen
        self._around = -1.0  # the last brightness around the face, as for patches; negative until there is one

    def __len__(self) -> int:
        return self._count

    def add(self, frame: Frame, box: Floats, held: Floats | None = None) -> None:
        """Take a frame and the face box (x0, y0, x1, y1) in it. Where no skin is usable, all of the face counts.

        Corners are whole pixels: what is interpolated between pixels loses the noise that tells a living picture from
        one that repeats itself.

        Args:
            held: the box held on the face's pixels (:class:`kdphys.clip.steady.Steady`), if that is known.
        """
        box = np.asarray(box, float)
        region = np.round(box if self.whole else square(box, 1.0))
        around = np.nan if self.whole else surround(frame.rgb, box)
        self.add_face(frame.t, crop(frame.rgb, region, SIZE), box, around, held)

    def add_face(
        self,
        t: float,
        face: NDArray[np.float32],
        box: Floats,
        around: float = np.nan,
        held: Floats | None = None,
    ) -> None:
        """Take a face that is cut out already.

        Args:
            t: time in seconds.
            face: float32 (64, 64, 3), 0–255, of the face box.
            box: where it was, x0, y0, x1, y1.
            around: brightness of the picture around it, 0–255, if that is known.
            held: where its pixels were, to a fraction of one, if that is known better.
        """
        weights = np.ones((SIZE, SIZE), np.float32) if self.whole else self._skin.update(face, t)
        mean, patches = skin_means(face, weights)
        if not np.isfinite(mean).all():  # too dark or too bright, which the evidence must show
            mean, patches = skin_means(face, OVAL)
        motion = 0.0
        self._unit = self._unit or max(float(box[2] - box[0]), 1.0)
        x0, y0, x1, y1 = (float(v) for v in (box if held is None else held))
        place = np.array([x0 + x1, y0 + y1, x1 - x0]) / (2 * self._unit)
        if self._last is not None:
            last, before = self._last
            side = max(float(box[2] - box[0]), 1.0)
            motion = float(np.abs(np.asarray(box) - before).mean()) / side / max(t - last, 1e-3)
            if t - last > MAX_GAP_S:
                self._new = None
        if self._new is None or float(np.abs(face - self._new[1]).mean()) > _SHOWN_AGAIN:
            self._rate = self._rate if self._new is None else 1.0 / max(t - self._new[0], 1e-6)
            self._new = t, face
        self._last = (t, np.array(box, float))
        there = np.isfinite(patches).all(axis=1)
        self._held[there] = patches[there]
        self._seen += there
        self._around = around if np.isfinite(around) else self._around
        self._count += 1
        clipped = float((brightest(face[8:-8, 8:-8]) > 250.0).mean())
        about = [float(mean @ LUMA), clipped, motion, self._around, self._rate]
        row = np.concatenate([mean, about, place, [sharpness(face)], self._held.reshape(-1)])
        if self._stream is None:
            self.t0 = t if self.t0 is None else self.t0
            self._stream = Resampler(self.fs, self.t0, MAX_GAP_S, hold=256)
        self._blocks += self._stream.push(t, row.astype(np.float32))

    def build(self, end: float | None = None, beat_hz: float | None = None) -> RgbTrace:
        """The trace on a uniform clock, with its evidence; call it once, at the end.

        Args:
            end: time in seconds up to which the trace goes, a gap where there was no face; the last frame by default.
            beat_hz: for the evidence.
        """
        if self._stream is not None:
            self._blocks += self._stream.flush()
        t0 = self.t0 or 0.0
        n = max((b.start + len(b.values) for b in self._blocks), default=0)
        if end is not None:
            n = int(np.floor((end - t0) * self.fs + 1e-6)) + 1
        keep = np.flatnonzero(self._seen > 0.9 * max(self._count, 1))
        columns = np.concatenate([np.arange(COLOURS), *(COLOURS + 3 * k + np.arange(3) for k in keep)]).astype(int)
        table = np.full((n, len(columns)), np.nan, np.float32)
        valid = np.zeros(n, bool)
        for block in self._blocks:
            inside = slice(block.start, min(block.start + len(block.values), n))
            table[inside] = block.values[: inside.stop - inside.start, columns]
            valid[inside] = True
        self._blocks.clear()
        evidence = evidence_of(table, table[:, COLOURS:].reshape(n, len(keep), 3), beat_hz)
        return RgbTrace(evidence.rgb, self.fs, t0, valid, evidence)
