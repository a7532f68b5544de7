"""The server: a page that measures in the browser, and an API for those who send video.

``kdphys serve`` starts it. The process that talks to the network decodes nothing and measures nothing: videos, pictures
and signals are touched in worker processes only (:mod:`kdphys.serve.worker`), which may crash without harm.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdphys.serve.app import create_app as create_app
    from kdphys.serve.settings import Settings as Settings

__all__ = ["Settings", "create_app"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"kdphys.serve.{'app' if name == 'create_app' else 'settings'}"), name)
    raise AttributeError(f"module 'kdphys.serve' has no attribute {name!r}")
