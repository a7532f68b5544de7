"""Copies of public data sets in miniature, of exactly their shapes, written by real encoders.

Everything beats at one known rate: the brightness of the pictures and the pulse wave beside them are the same function
of time, so that a reader that matches labels to frames wrongly is found out by their correlation.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import h5py
import numpy as np
from scipy.io import savemat

HR_BPM = 84.0
SECONDS = 6.0
W, H = 48, 36


def wave(t: np.ndarray) -> np.ndarray:
    """The pulse of everybody here, with a rate that rises: no part of it looks like another."""
    t = np.asarray(t, float)
    return np.sin(2 * np.pi * (HR_BPM / 60 * t + 0.01 * t**2)) + 0.3 * np.sin(4 * np.pi * HR_BPM / 60 * t)


def pictures(times: np.ndarray, width: int = W, height: int = H) -> list[np.ndarray]:
    """Pictures in RGB: red above, blue below, brightness follows the pulse."""
    base = np.zeros((height, width, 3))
    base[: height // 2] = [150, 110, 60]
    base[height // 2 :] = [60, 110, 150]
    return [np.clip(np.rint(base + 20 * wave(t)), 0, 255).astype(np.uint8) for t in times]


def write_video(path: Path, frames: Iterable[np.ndarray], fps: int, codec: str, pix_fmt: str) -> None:
    frames = list(frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], pix_fmt
        stream.codec_context.time_base = Fraction(1, fps)
        if codec != "rawvideo":
            stream.bit_rate = 4_000_000
        for k, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_image(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    assert ok
    path.write_bytes(data.tobytes())


def uniform(fs: float, seconds: float = SECONDS) -> np.ndarray:
    return np.arange(round(seconds * fs)) / fs


def write_lines(path: Path, lines: Iterable[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(str(line) for line in lines) + "\n", encoding="utf-8")


def write_mat73(path: Path, variables: dict[str, np.ndarray | str], chunk: int = 7) -> None:
    """As MATLAB's ``save -v7.3``: HDF5 behind a block of 512 bytes, axes reversed, text as uint16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if isinstance(value, str):
                item = file.create_dataset(name, data=np.array([[ord(c)] for c in value], np.uint16))
                item.attrs["MATLAB_class"] = np.bytes_("char")
                continue
            data = np.asarray(value).T
            chunks = (*data.shape[:3], chunk) if data.ndim == 4 else None
            file.create_dataset(name, data=data, chunks=chunks, compression="gzip" if chunks else None)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + struct.pack("<H2s", 0x0200, b"IM"))


# One function a data set: writes the takes `who` below the root.


def pure(root: Path, label_s: float = SECONDS) -> None:
    start = 1_392_643_993_642_815_000
    rng = np.random.default_rng(0)
    for take in ("01-01", "02-03"):
        step = rng.uniform(0.024, 0.0425, round(SECONDS * 30))  # jitter: matching by count would be off by 0.1 s
        step[60:70] *= 2.0
        frame_ns = start + np.round(np.cumsum(step) * 1e9).astype(np.int64)
        for ns, rgb in zip(frame_ns, pictures((frame_ns - frame_ns[0]) / 1e9), strict=True):
            write_image(root / take / take / f"Image{ns}.png", rgb)
        label_ns = frame_ns[0] - 200_000_000 + np.round(np.arange((label_s + 0.7) * 60) / 60 * 1e9).astype(np.int64)
        package = [
            {
                "Timestamp": int(ns),
                "Value": {"waveform": round(50 + 20 * float(wave((ns - frame_ns[0]) / 1e9)), 3), "pulseRate": 84}
                | {"o2saturation": 97},
            }
            for ns in label_ns
        ]
        content = {"/FullPackage": package, "/Image": [{"Timestamp": int(ns), "Value": None} for ns in frame_ns]}
        (root / take / f"{take}.json").write_text(json.dumps(content), encoding="utf-8")


def ubfc_rppg(root: Path, label_s: float = SECONDS) -> None:
    for number in (1, 10):
        folder = root / "DATASET_2" / f"subject{number}"
        write_video(folder / "vid.avi", pictures(uniform(30)), 30, "rawvideo", "bgr24")
        t = np.cumsum(np.random.default_rng(number).uniform(0.02, 0.0435, round(label_s * 31.5)))
        rows = (wave(t), np.full(len(t), 84.0), t)
        write_lines(folder / "ground_truth.txt", ("  ".join(f"{v: .7e}" for v in row) for row in rows))
    for name in ("5-gt", "after-exercise"):
        folder = root / "DATASET_1" / name
        write_video(folder / "vid.avi", pictures(uniform(30)), 30, "rawvideo", "bgr24")
        t = uniform(62, label_s)
        rows = zip(t, wave(t), strict=True)
        write_lines(folder / "gtdump.xmp", (f"{round(s * 1000)},84,98,{50 + 20 * v:.4f}" for s, v in rows))


def cohface(root: Path, label_s: float = SECONDS) -> None:
    for take, suffix in (("1/0", "avi"), ("1/3", "mkv"), ("2/1", "avi")):
        folder = root / take
        write_video(folder / f"data.{suffix}", pictures(uniform(20)), 20, "mpeg4", "yuv420p")
        t = uniform(256, label_s)
        with h5py.File(folder / "data.hdf5", "w") as file:
            file["pulse"], file["respiration"], file["time"] = wave(t), np.sin(1.5 * t), t


def mmpd(root: Path, label_s: float = SECONDS) -> None:
    t, label = uniform(30), wave(uniform(30, label_s))
    video = np.stack(pictures(t, 24, 32)).astype(np.float32) / 255  # upright, squeezed to 3:4
    words = {"light": "LED-low", "motion": "Stationary (after exercise)", "exercise": "True", "gender": "female"}
    words |= {"glasser": "False", "hair_cover": "False", "makeup": "True"}
    (root / "subject1").mkdir(parents=True)
    (root / "subject2").mkdir()
    skin = np.array([[5]])
    content = {"video": video, "GT_ppg": label[None], "skin_color": skin} | words
    savemat(root / "subject1" / "p1_0.mat", content, do_compression=True)
    words |= {"motion": "Watching Videos", "exercise": "False", "light": "Nature"}
    write_mat73(root / "subject2" / "p2_11.mat", {"video": video, "GT_ppg": label[None], "skin_color": skin} | words)


def ubfc_phys(root: Path, label_s: float = SECONDS) -> None:
    for person, task in (("s1", 1), ("s2", 3)):
        folder = root / person
        write_video(folder / f"vid_{person}_T{task}.avi", pictures(uniform(35)), 35, "mjpeg", "yuvj420p")
        write_lines(folder / f"bvp_{person}_T{task}.csv", (f"{v:.5f}" for v in wave(uniform(64, label_s))))


def scamps(root: Path, label_s: float = SECONDS) -> None:
    video = np.stack(pictures(uniform(30), 32, 32)) / 255.0
    for path in ("Train/P000001.mat", "Test/P002500.mat"):
        label = wave(uniform(30, label_s))[None]
        write_mat73(root / path, {"Xsub": video, "d_ppg": label, "d_br": np.cos(label), "d_yaw": label})


def ibvp(root: Path, label_s: float = SECONDS) -> None:
    for take in ("p01_a", "p02_d"):
        numbers = [k for k in range(round(SECONDS * 30)) if not 50 <= k < 53]  # lost frames
        for k, rgb in zip(numbers, pictures(np.array(numbers) / 30), strict=True):
            write_image(root / take / f"{take}_rgb" / f"{take}_{k + 1:05}.bmp", rgb)
        (root / take / f"{take}_t").mkdir()
        rows = (f"{v:.5f},0,1,{0.9}" for v in wave(uniform(64, label_s)))
        write_lines(root / take / f"{take}_bvp.csv", ["BVP,SQ1,SQPhysMD,SQ2", *rows])


def lgi_ppgi(root: Path, label_s: float = SECONDS) -> None:
    for person, session in (("alex", "resting"), ("harun", "gym")):
        folder = root / person / f"{person}_{session}"
        step = np.random.default_rng(3).uniform(30, 50, round(SECONDS * 25) - 1)
        stamps = np.round(np.concatenate([[0.0], np.cumsum(step)]))
        frames = pictures(stamps / 1000)
        write_video(folder / "cv_camera_sensor_stream_handler.avi", frames, 25, "mjpeg", "yuvj420p")
        items = "".join(f"<item><value1>{s:.1f}</value1></item>" for s in stamps)
        write_lines(folder / "cv_camera_sensor_timer_stream_handler.xml", [f"<stream>{items}</stream>"])
        early = 1.5 if label_s == SECONDS else label_s - SECONDS  # the oximeter starts first, both stop together
        t = stamps[-1] / 1000 - np.arange(round((SECONDS + early) * 60))[::-1] / 60
        items = "".join(
            f"<item><value1>84</value1><value2>{round(50 + 30 * v)}</value2></item>" for v in wave(np.asarray(t))
        )
        write_lines(folder / "cms50_stream_handler.xml", [f"<stream>{items}</stream>"])


def vipl_hr(root: Path, label_s: float = SECONDS) -> None:
    for take in ("p1/v1/source1", "p1/v1/source4", "p12/v7/source3"):
        folder = root / "data" / take
        step = np.random.default_rng(5).uniform(25, 52, round(SECONDS * 26) - 1)
        stamps = np.round(np.concatenate([[0.0], np.cumsum(step)]))
        write_video(folder / "video.avi", pictures(stamps / 1000), 25, "mjpeg", "yuvj420p")
        write_lines(folder / "time.txt", (f"{s:.0f}" for s in stamps))
        write_lines(folder / "wave.csv", ["Wave", *(f"{50 + 20 * v:.0f}" for v in wave(uniform(60, label_s)))])
        write_lines(folder / "gt_HR.csv", ["HR", *("84" for _ in uniform(1, label_s))])
        write_lines(folder / "gt_SpO2.csv", ["SpO2", *("98" for _ in uniform(1, label_s))])


@dataclass(frozen=True)
class Tree:
    """How to make a copy of a data set, and what a test must know to judge its reader.

    Args:
        make: writes the copy; ``label_s`` shortens the labels.
        takes: names that the reader should find.
        video, label: a file (or folder of images) and the label of one take.
        size: width and height of the pictures as shown.
        references: of every take.
        conditions: of one take, or part of them.
    """

    make: Callable[..., None]
    takes: tuple[str, ...]
    video: str
    label: str
    size: tuple[int, int]
    references: frozenset[str]
    conditions: tuple[str, dict[str, str]]


def _tree(make: Callable[..., None], takes: str, video: str, label: str, references: str, **more: object) -> Tree:
    size: tuple[int, int] = more.pop("size", (W, H))  # type: ignore[assignment]
    ((take, conditions),) = more.pop("conditions").items()  # type: ignore[attr-defined]
    return Tree(make, tuple(takes.split()), video, label, size, frozenset(references.split()), (take, conditions))


TREES = {
    "pure": _tree(
        pure,
        "01-01 02-03",
        "02-03/02-03",
        "02-03/02-03.json",
        "bvp hr_bpm spo2",
        conditions={"02-03": {"motion": "slow translation"}},
    ),
    "ubfc-rppg": _tree(
        ubfc_rppg,
        "dataset1-5 dataset1-after-exercise dataset2-1 dataset2-10",
        "DATASET_2/subject10/vid.avi",
        "DATASET_2/subject10/ground_truth.txt",
        "bvp hr_bpm",
        conditions={"dataset1-after-exercise": {"exercise": "after"}},
    ),
    "cohface": _tree(
        cohface,
        "1-0 1-3 2-1",
        "1/0/data.avi",
        "1/0/data.hdf5",
        "bvp resp",
        conditions={"1-3": {"light": "natural"}},
    ),
    "mmpd": _tree(
        mmpd,
        "p1_0 p2_11",
        "subject1/p1_0.mat",
        "subject1/p1_0.mat",
        "bvp",
        size=(24, 43),
        conditions={
            "p1_0": {"light": "led-low", "motion": "stationary", "skin": "5", "exercise": "yes", "glasses": "no"}
        },
    ),
    "ubfc-phys": _tree(
        ubfc_phys,
        "s1_T1 s2_T3",
        "s2/vid_s2_T3.avi",
        "s2/bvp_s2_T3.csv",
        "bvp",
        conditions={"s2_T3": {"task": "arithmetic"}},
    ),
    "scamps": _tree(
        scamps,
        "P000001 P002500",
        "Test/P002500.mat",
        "Test/P002500.mat",
        "bvp resp",
        size=(32, 32),
        conditions={"P002500": {"split": "test"}},
    ),
    "ibvp": _tree(
        ibvp,
        "p01_a p02_d",
        "p02_d/p02_d_rgb",
        "p02_d/p02_d_bvp.csv",
        "bvp bvp_quality",
        conditions={"p02_d": {"motion": "rotation"}},
    ),
    "lgi-ppgi": _tree(
        lgi_ppgi,
        "alex_resting harun_gym",
        "alex/alex_resting/cv_camera_sensor_stream_handler.avi",
        "alex/alex_resting/cms50_stream_handler.xml",
        "bvp hr_bpm",
        conditions={"harun_gym": {"motion": "exercise"}},
    ),
    "vipl-hr": _tree(
        vipl_hr,
        "p1-v1-source1 p12-v7-source3",
        "data/p12/v7/source3/video.avi",
        "data/p12/v7/source3/wave.csv",
        "bvp hr_bpm spo2",
        conditions={"p12-v7-source3": {"camera": "phone", "exercise": "after"}},
    ),
}
