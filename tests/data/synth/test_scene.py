from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from kdphys.data.synth.presets import BENCH_CODECS, bench_scenes
from kdphys.data.synth.sample import sample_scene
from kdphys.data.synth.scene import CODECS, LIGHTS, MOTIONS, Scene
from kdphys.data.synth.tracks import make_tracks
from kdphys.errors import InvalidInputError


def test_a_scene_survives_json() -> None:
    for seed in range(40):
        scene = sample_scene(seed, textures=3)
        assert Scene.from_json(scene.to_json()) == scene
        assert sample_scene(seed, textures=3) == scene


def test_seeds_give_all_skins_motions_lights_and_codecs() -> None:
    scenes = [sample_scene(k) for k in range(600)]
    skins = Counter(s.person.skin_type for s in scenes)
    assert set(skins) == set(range(1, 7))
    assert max(skins.values()) < 1.5 * min(skins.values())
    assert {s.motion.kind for s in scenes} == set(MOTIONS)
    assert {s.light.kind for s in scenes} == set(LIGHTS)
    assert {s.codec.kind for s in scenes} == set(CODECS)
    assert 0.06 < np.mean([not s.pulse.present for s in scenes]) < 0.14
    assert 0.25 < np.mean([s.codec.kind in ("h264", "mpeg4", "mjpeg") for s in scenes]) < 0.35


def test_what_is_asked_for_is_held_and_unknown_names_are_refused() -> None:
    scene = sample_scene(1, skin=6, motion="talking", light="dim", codec="mjpeg", pulse=False, hr_bpm=61.0)
    assert (
        scene.tags | {"skin": "6", "motion": "talking", "light": "dim", "codec": "mjpeg", "pulse": "no"} == scene.tags
    )
    assert scene.pulse.hr_bpm == 61.0
    rates = [sample_scene(k, codec="mpeg4", mbps=(0.2, 0.5)).codec.mbps for k in range(40)]
    assert 0.2 <= min(rates) < 0.25 < 0.45 < max(rates) <= 0.5
    free, held = sample_scene(1, codec="mpeg4"), sample_scene(1, codec="mpeg4", gop=13, fps=20.0)
    assert (held.codec.gop, held.camera.fps) == (13, 20.0) != (free.codec.gop, free.camera.fps)
    assert held == replace(free, codec=replace(free.codec, gop=13), camera=replace(free.camera, fps=20.0))
    with pytest.raises(InvalidInputError, match="expected one of still"):
        sample_scene(1, motion="flying")
    with pytest.raises(InvalidInputError, match="gop must be 1 frame or more, got 0"):
        sample_scene(1, gop=0)
    with pytest.raises(InvalidInputError, match="fps must lie in 5–240, got 1000"):
        sample_scene(1, fps=1000)
    with pytest.raises(InvalidInputError, match="lowest and a highest bit rate"):
        sample_scene(1, mbps=(2.0, 1.0))
    with pytest.raises(InvalidInputError, match="seed"):
        sample_scene(-1)


def test_a_recipe_of_another_version_is_refused_by_name() -> None:
    document = json.loads(sample_scene(0).to_json())
    document["person"]["tail"] = 1
    with pytest.raises(InvalidInputError, match=r"scene\.person.*tail"):
        Scene.from_json(json.dumps(document))
    with pytest.raises(InvalidInputError, match="not JSON"):
        Scene.from_json("{")


@pytest.mark.parametrize("holds", [True, False])
def test_dropped_frames_repeat_or_are_missing(holds: bool) -> None:
    from dataclasses import replace

    scene = sample_scene(4, motion="sway")
    scene = replace(scene, camera=replace(scene.camera, fps=30.0, drop=0.2, drop_holds=holds, time_jitter_s=0.003))
    tracks = make_tracks(scene, 10.0)
    assert (np.diff(tracks.times) > 0).all()
    assert np.isfinite(tracks.shift).all()
    if holds:
        assert len(tracks.times) >= 300
        assert 30 < (np.diff(tracks.held) == 0).sum() < 90
    else:
        assert 210 < len(tracks.times) < 270
        assert np.diff(tracks.times).max() > 0.06


def test_the_benchmark_visits_every_stratum_evenly() -> None:
    scenes = list(bench_scenes())
    assert len({name for name, _ in scenes}) == 240
    assert Counter(s.person.skin_type for _, s in scenes) == dict.fromkeys(range(1, 7), 40)
    assert set(Counter(s.motion.kind for _, s in scenes).values()) == {48}
    assert set(Counter(s.light.kind for _, s in scenes).values()) == {60}
    assert set(Counter(name.split("-", 4)[4] for name, _ in scenes).values()) == {240 // len(BENCH_CODECS)}
    assert [s for _, s in bench_scenes(5)] == [s for _, s in scenes[:5]]
    assert sum(not s.pulse.present for _, s in scenes) == 12
