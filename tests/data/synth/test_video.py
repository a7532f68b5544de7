from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from kdphys.clip.crop import crop, square
from kdphys.data.synth import presets
from kdphys.data.synth.bank import HeadBank
from kdphys.data.synth.codec import decode, encode
from kdphys.data.synth.presets import DEMO_SECONDS, demo_scene
from kdphys.data.synth.render import render_clip
from kdphys.data.synth.sample import sample_scene
from kdphys.data.synth.scene import Codec, Scene
from kdphys.data.synth.video import render_video
from kdphys.errors import InvalidInputError, OutputError
from kdphys.evaluate.generic import find_recordings
from kdphys.face.detect import FaceDetector
from kdphys.video.reader import read_video

ASSETS = Path(__file__).parents[3] / "src" / "kdphys" / "assets"


def _quiet(bank: HeadBank, seed: int = 2) -> Scene:
    demo = demo_scene()
    return replace(demo, seed=seed, bank=bank.spec, person=replace(demo.person, head=0))


def _table(path: Path) -> dict[str, np.ndarray]:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key] or "nan") for row in rows]) for key in rows[0]}


@pytest.mark.parametrize(("codec", "suffix", "name"), [("h264", ".mp4", "h264"), ("mjpeg", ".avi", "mjpeg")])
def test_a_video_its_reference_and_its_face_agree(
    bank: HeadBank, tmp_path: Path, codec: str, suffix: str, name: str
) -> None:
    result = render_video(
        _quiet(bank), tmp_path / f"a{suffix}", 6.0, 320, 240, fps=25.0, codec=codec, bit_rate=4e6, bank=bank
    )
    with av.open(str(result.video)) as file:
        assert file.streams.video[0].codec_context.name == name
    video = read_video(result.video)
    assert (video.width, video.height) == (320, 240)
    table = _table(result.reference)
    frames = list(video)
    assert [f.t - frames[0].t for f in frames] == pytest.approx(table["time"], abs=1e-3)
    found = [FaceDetector()(f.rgb) for f in frames[::50]]
    assert all(len(f.scores) == 1 for f in found)
    box = square(found[0].boxes[0], 0.7)
    green = np.array([crop(f.rgb, box, 8)[..., 1].mean() for f in frames])
    t = table["time"]
    detrended = green - np.polyval(np.polyfit(t, green, 3), t)
    assert np.corrcoef(-detrended, table["bvp"])[0, 1] > 0.6
    document = json.loads(result.recipe.read_text())
    assert document["hr_bpm"] == pytest.approx(np.mean(table["hr_bpm"]), rel=0.03)
    assert Scene.from_json(json.dumps(document["scene"])).seed == 2


def test_fewer_bits_make_smaller_files_and_worse_pictures() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :160]
    clean = [
        np.clip(
            128 + 60 * np.sin(x / 9 + k / 5)[..., None] * np.cos(y / 7)[..., None] + rng.normal(0, 6, (128, 160, 3)),
            0, 255,
        ).astype(np.uint8)
        for k in range(30)
    ]  # fmt: skip
    for kind in ("h264", "mpeg4", "mjpeg"):
        sizes, errors = [], []
        for mbps in (0.2, 6.0):
            file = io.BytesIO()
            encode(clean, file, Codec(kind, mbps=mbps, gop=15), 30.0, "matroska")
            sizes.append(file.tell())
            file.seek(0)
            out = list(decode(file))
            assert len(out) == 30
            errors.append(np.mean([(a.astype(float) - b) ** 2 for a, b in zip(clean, out, strict=True)]))
        assert sizes[0] < sizes[1]
        assert errors[0] > errors[1] > 0


def test_real_codecs_take_more_from_the_pulse_at_fewer_bits(bank: HeadBank) -> None:
    scene = sample_scene(5, bank=bank.spec, motion="still", light="steady", codec="h264", pulse=True, hr_bpm=70.0)
    quiet = replace(_quiet(bank), camera=replace(scene.camera, fps=30.0, face_px=110.0, drop=0.0, exposure=0.6))
    quiet = replace(quiet, camera=replace(quiet.camera, auto_exposure=0.0, auto_white=0.0, shot=1.0, read=0.7))
    kept = []
    for mbps in (0.15, 12.0):
        clip = render_clip(replace(quiet, codec=Codec("h264", mbps=mbps, gop=60)), 150, 36, bank=bank)
        skin = clip.mask > 0.5 * clip.mask.max()
        chroma = (clip.rgb[..., 1] - 0.5 * (clip.rgb[..., 0] + clip.rgb[..., 2]))[:, skin].mean(axis=1)
        t = np.arange(150)
        chroma = chroma - np.polyval(np.polyfit(t, chroma, 3), t)
        kept.append(abs(np.corrcoef(chroma, clip.bvp)[0, 1]))
    assert kept[1] > 0.7
    assert kept[0] < 0.8 * kept[1]


def test_what_cannot_be_a_video_is_refused(bank: HeadBank, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="even sides"):
        render_video(_quiet(bank), tmp_path / "a.mp4", 5.0, 321, 240, bank=bank)
    with pytest.raises(InvalidInputError, match="codec"):
        render_video(_quiet(bank), tmp_path / "a.mp4", 1.0, 128, 128, codec="vp99", bank=bank)
    assert not list(tmp_path.iterdir())


def test_the_bundled_clip_is_what_the_command_writes_and_small() -> None:
    document = json.loads((ASSETS / "demo.json").read_text())
    scene = Scene.from_json(json.dumps(document["scene"]))
    assert scene.person == demo_scene().person
    assert scene.pulse == demo_scene().pulse
    assert (ASSETS / "demo.mp4").stat().st_size < 1_500_000
    table = _table(ASSETS / "demo.csv")
    assert len(table["time"]) == round(DEMO_SECONDS * 30)
    assert document["hr_bpm"] == pytest.approx(table["hr_bpm"].mean(), abs=0.7)


def test_the_benchmark_resumes_and_can_be_evaluated(
    bank: HeadBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "BENCH_BANK", bank.spec)
    monkeypatch.setattr(presets, "BENCH_SECONDS", 1.0)
    monkeypatch.setattr(presets, "BENCH_PICTURE", (160, 120))
    scenes = [(n, s) for n, s in presets.bench_scenes(20) if n[:3] in ("000", "019")]
    monkeypatch.setattr(presets, "bench_scenes", lambda count, seed: iter(scenes))
    manifest = presets.write_bench(tmp_path, 2, jobs=1)
    files = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir() if p.suffix in (".mp4", ".avi", ".json")}
    assert presets.write_bench(tmp_path, 2, jobs=1) == manifest
    assert {p: p.stat().st_mtime_ns for p in files} == files
    found = [source.open() for source in find_recordings([tmp_path])]
    assert len(found) == 1  # the other one has no pulse
    assert found[0].conditions["motion"] == scenes[0][1].motion.kind
    assert len((tmp_path / "no-pulse.csv").read_text().splitlines()) == 2
    monkeypatch.setattr(presets, "bench_scenes", lambda count, seed: ((n, replace(s, seed=1)) for n, s in scenes))
    with pytest.raises(OutputError, match="another set"):
        presets.write_bench(tmp_path, 2, jobs=1)
    presets.write_bench(tmp_path, 2, jobs=1, force=True)
    assert {json.loads(p.read_text())["scene"]["seed"] for p in tmp_path.glob("*.json")} == {1}
