"""The clip graph with its larger convolutions in 8 bits, if heart rates do not suffer.

Weights are quantised per channel; the ranges of activations are measured on crops of some recordings. The gate
compares heart rates, not waves: mean absolute error over all recordings with a reference, before and after.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from kdphys.containers import Recording
from kdphys.dsp import runs
from kdphys.errors import DataError, InvalidInputError, KDPhysError
from kdphys.evaluate.generic import find_recordings
from kdphys.evaluate.protocols import Reference
from kdphys.export.graph import pack
from kdphys.files import check_free, whole
from kdphys.pipeline import extract_clip
from kdphys.pulse.engines import METADATA, Engine, ModelSpec
from kdphys.pulse.shape import shape_pulse
from kdphys.vitals.heart_rate import MIN_HR_S, heart_rate

#: Largest rise of the mean absolute error that is let through, bpm.
LARGEST_RISE_BPM = 0.1
#: Recordings that ranges are measured on, and frames of each.
_CALIBRATION, _FRAMES = 16, 300
#: Fewest channels that a convolution takes in to be quantised.
_CHANNELS = 16


@dataclass(frozen=True)
class Sample:
    """One stretch of a recording with a face and a reference.

    Args:
        rgb: float32 (T, S, S, 3).
        ref_bpm: heart rate over it, by the protocol that ``kdphys evaluate`` uses.
    """

    rgb: NDArray[np.float32]
    ref_bpm: float


@dataclass(frozen=True)
class Int8Result:
    """What the gate saw.

    Args:
        mae_bpm, int8_mae_bpm: mean absolute error of the heart rate over whole recordings, before and after.
        recordings: how many have a face and a reference long enough.
        left_out: how many have not.
    """

    mae_bpm: float
    int8_mae_bpm: float
    recordings: int
    left_out: int


def export_int8(
    clip: Path,
    path: Path,
    bench: Path,
    *,
    cache: Path | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Int8Result:
    """Write an 8-bit version of a clip graph if it is about as accurate.

    Args:
        clip: file of the clip graph, from :func:`kdphys.export.export_onnx`.
        path: of the file to write.
        bench: folder of videos with references, such as 'kdphys synth --preset bench' makes.
        cache: folder where crops are kept for the next time; inside ``bench`` by default.
        force: overwrite.
        progress: called with recordings done and their number.

    Raises:
        OutputError: the file exists.
        DataError: no recording in ``bench`` can be used.
        KDPhysError: the error rises by more than 0.1 bpm: nothing is written.
    """
    check_free(path, force)
    content = clip.read_bytes()
    engine = Engine(content, str(clip))
    crops = Crops(bench, engine.spec, cache or bench / f".crops-{engine.spec.size}")
    some = crops.some(_CALIBRATION)
    if not some:
        raise DataError(f"{bench}: no recording with {MIN_HR_S:g} s of face and a reference heart rate")
    quantised = quantise(content, [sample.rgb[:_FRAMES] for sample in some])
    other = Engine(quantised, f"{clip} in 8 bits")
    errors = []
    for done, sample in enumerate(crops):
        errors.append([abs(_rate(e, sample) - sample.ref_bpm) for e in (engine, other)])
        if progress is not None:
            progress(done + 1, len(crops))
    before, after = (float(v) for v in np.mean(errors, axis=0))
    if not after - before <= LARGEST_RISE_BPM:
        raise KDPhysError(
            f"{engine.spec.name}: in 8 bits the error over {len(errors)} recordings rises from {before:.2f} to "
            f"{after:.2f} bpm, by more than {LARGEST_RISE_BPM:g}: not written"
        )
    with whole(path) as part:
        part.write_bytes(quantised)
    return Int8Result(before, after, len(errors), len(crops) - len(errors))


def quantise(content: bytes, clips: Sequence[NDArray[np.float32]]) -> bytes:
    """Two-dimensional convolutions in 8 bits, their ranges from ``clips``; the rest stays in floating point.

    Those that look at few channels, as colours are, or at one pixel stay too: there the pulse is some tenths of a
    per cent beside motion of tens of per cent, and 256 steps from the least to the largest value are too coarse for it.

    Args:
        content: of the clip graph.
        clips: float32 (T, S, S, 3) each.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    graph = onnx.load_from_string(content)
    shapes = {tensor.name: tensor.dims for tensor in graph.graph.initializer}
    convolutions = [(n.name, shapes.get(n.input[1], ())) for n in graph.graph.node if n.op_type == "Conv"]
    nodes = [name for name, s in convolutions if len(s) == 4 and s[1] >= _CHANNELS and s[2] > 1]
    about = {entry.key: entry.value for entry in graph.metadata_props}[METADATA]
    # The exporter has folded all that folds. Without this mark the quantiser says otherwise through the root logger.
    mark = graph.metadata_props.add()
    mark.key, mark.value = "onnx.quant.pre_process", "onnxruntime.quant"

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._clips = iter(clips)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            rgb = next(self._clips, None)
            return None if rgb is None else {"rgb": rgb[None]}

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = Path(folder) / "int8.onnx"
        quantize_static(
            graph,
            str(out),
            Reader(),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return pack(onnx.load(str(out)), {**json.loads(about), "precision": "int8"})


def _rate(engine: Engine, sample: Sample) -> float:
    wave = engine(sample.rgb)
    pulse = shape_pulse(wave, np.ones(len(wave), bool), engine.spec.fs, 0.0, engine.spec.name, None)
    return heart_rate(pulse.bvp, pulse.fs)


class Crops:
    """The crops of all recordings of a folder, found once and kept.

    Args:
        bench: the folder.
        spec: of the model that they are for.
        cache: folder for them. In there a file is known by the video's name, size and time of change.
    """

    def __init__(self, bench: Path, spec: ModelSpec, cache: Path) -> None:
        self._sources = find_recordings([bench])
        self._spec, self._cache = spec, cache

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self) -> Iterator[Sample]:
        return (sample for k in range(len(self)) if (sample := self._get(k)) is not None)

    def some(self, n: int) -> list[Sample]:
        """Up to ``n``, evenly from all."""
        found = (self._get(k) for k in np.unique(np.linspace(0, len(self) - 1, n).round().astype(int)))
        return [sample for sample in found if sample is not None]

    def _get(self, k: int) -> Sample | None:
        source, spec = self._sources[k], self._spec
        stat = source.video.stat()
        key = f"{source.video.resolve()} {stat.st_size} {stat.st_mtime_ns} {spec.size} {spec.fs} {spec.box_scale}"
        file = self._cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}-crops.npz"
        recording = source.open()
        if not file.exists():
            rgb, span = self._read(recording)
            with whole(file) as part:  # 0–255 in steps of 1/256
                np.savez(part, rgb=np.round(rgb * 256).astype(np.uint16), span=span)
        with np.load(file) as saved:
            rgb, (t0, t1) = saved["rgb"].astype(np.float32) / 256, (float(t) for t in saved["span"])
        if len(rgb) < MIN_HR_S * spec.fs:
            return None
        try:
            ref = Reference(recording.references.get("bvp"), recording.references.get("hr_bpm")).hr(t0, t1)
        except InvalidInputError as error:
            raise DataError(f"{source.reference}: {error}") from error
        return None if ref is None else Sample(rgb, ref)

    def _read(self, recording: Recording) -> tuple[NDArray[np.float32], tuple[float, float]]:
        """The longest stretch with a face and its times, seconds; empty where there is none."""
        spec = self._spec
        clip = extract_clip(recording.video, spec.size, spec.fs, spec.box_scale)
        if clip is None or not clip.valid.any():
            return np.empty((0, spec.size, spec.size, 3), np.float32), (0.0, 0.0)
        run = max(runs(clip.valid), key=lambda r: r.stop - r.start)
        times = clip.times[run]
        return clip.rgb[run], (float(times[0]), float(times[-1]) + 1 / spec.fs)
