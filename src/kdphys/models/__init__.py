"""Networks that turn face pixels into the blood-volume pulse: (B, T, 3, S, S) RGB 0–255 → BVP (B, T).

The registry names them without importing torch; :func:`create` builds one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdphys.registry import Registry

if TYPE_CHECKING:
    from kdphys.models.base import PulseModel

MODELS = Registry(
    "model",
    {
        "student": "kdphys.models.student:Student",
        "teacher": "kdphys.models.physnet:Teacher",
        "physnet": "kdphys.models.physnet:PhysNet",
        "deepphys": "kdphys.models.deepphys:DeepPhys",
        "tscan": "kdphys.models.tscan:TSCAN",
        "efficientphys": "kdphys.models.efficientphys:EfficientPhys",
        "factorizephys": "kdphys.models.factorizephys:FactorizePhys",
    },
)


def create(name: str, **options: Any) -> PulseModel:
    """Build a registered model with fresh weights.

    Args:
        name: see :data:`MODELS`.
        options: of the model's constructor, such as ``size=72``.

    Raises:
        UnknownNameError: the name is not registered; the message lists those that are.
        InvalidInputError: the model does not take these options.
    """
    from kdphys.models.base import build

    return build(MODELS.load(name), name, options)


__all__ = ["MODELS", "create"]
