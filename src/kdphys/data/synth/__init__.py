"""Synthetic people: physically based face clips with a known pulse, for training, tests and the bundled clip.

Needs the extra ``synth``. Names are imported when first used, so that looking at this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdphys.registry import Registry

if TYPE_CHECKING:
    from kdphys.data.synth.bank import BankSpec, HeadBank, load_bank
    from kdphys.data.synth.dataset import SynthDataset
    from kdphys.data.synth.presets import bench_scenes, write_bench, write_demo
    from kdphys.data.synth.render import SynthBatch, SynthClip, batches, clip_seed, render_clip, stack
    from kdphys.data.synth.sample import sample_scene
    from kdphys.data.synth.scene import Scene
    from kdphys.data.synth.sheet import contact_sheet
    from kdphys.data.synth.video import VideoResult, render_video

__all__ = [
    "BankSpec",
    "HeadBank",
    "Scene",
    "SynthBatch",
    "SynthClip",
    "SynthDataset",
    "VideoResult",
    "batches",
    "bench_scenes",
    "clip_seed",
    "contact_sheet",
    "load_bank",
    "render_clip",
    "render_video",
    "sample_scene",
    "stack",
    "write_bench",
    "write_demo",
]

_HOMES = {
    "bank": ("BankSpec", "HeadBank", "load_bank"),
    "dataset": ("SynthDataset",),
    "presets": ("bench_scenes", "write_bench", "write_demo"),
    "render": ("SynthBatch", "SynthClip", "batches", "clip_seed", "render_clip", "stack"),
    "sample": ("sample_scene",),
    "scene": ("Scene",),
    "sheet": ("contact_sheet",),
    "video": ("VideoResult", "render_video"),
}
_NAMES = Registry(
    "name of kdphys.data.synth",
    {name: f"kdphys.data.synth.{home}:{name}" for home, names in _HOMES.items() for name in names},
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _NAMES.load(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
