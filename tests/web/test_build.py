"""The built page that is shipped: it is what its sources say, whole, and names nobody else."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.web.server import STATIC

ROOT = Path(__file__).resolve().parents[2]
REBUILD = "build it again: npm --prefix web ci && npm --prefix web run build"
ASSETS_AGAIN = "take them over: node web/assets.mjs"


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def build() -> dict[str, dict[str, str]]:
    return json.loads((STATIC / "build.json").read_text())


def _changed(recorded: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in recorded.keys() | now.keys() if recorded.get(name) != now.get(name))


def test_build_is_of_these_sources(build: dict[str, dict[str, str]]) -> None:
    names = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "assets.mjs")
    web = ROOT / "web"
    paths = [web / name for name in names] + [p for d in ("src", "public") for p in (web / d).rglob("*") if p.is_file()]
    changed = _changed(build["sources"], {p.relative_to(ROOT).as_posix(): _hash(p) for p in paths})
    assert not changed, f"the page was built before {', '.join(changed)} changed; {REBUILD}"


def test_models_are_those_of_the_package(build: dict[str, dict[str, str]]) -> None:
    assets = ROOT / "src" / "kdphys" / "assets"
    there = [assets / name for name in ("blazeface_short.onnx", "student-stream.onnx", "sqi.json")]
    now = {p.relative_to(ROOT).as_posix(): _hash(p) for p in there if p.is_file()}
    changed = _changed(build["assets"], now)
    assert not changed, f"the page has other versions of {', '.join(changed)}; {ASSETS_AGAIN}"
    listed = json.loads((STATIC / "models" / "index.json").read_text())["models"]
    assert listed == [
        Path(name).name for name in sorted(now, key=[p.relative_to(ROOT).as_posix() for p in there].index)
    ]
    for name in listed:
        assert (STATIC / "models" / name).read_bytes() == (assets / name).read_bytes()


def test_no_file_is_missing_or_was_edited(build: dict[str, dict[str, str]]) -> None:
    now = {
        p.relative_to(STATIC).as_posix(): _hash(p) for p in STATIC.rglob("*") if p.is_file() and p.name != "build.json"
    }
    changed = _changed(build["files"], now)
    assert not changed, f"edited, missing or left over: {', '.join(changed)}; {REBUILD}"
    assert {"index.html", "index.js", "worker.js", "index.css", "NOTICES.txt"} <= now.keys()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [value for name, value in attrs if name in ("src", "href") and value]
        if (tag == "script" and "src" not in given) or tag == "style":
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


def test_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    page = _Page()
    page.feed((STATIC / "index.html").read_text())
    assert page.inline == []
    assert page.links
    assert all(link.startswith(("./", "#")) for link in page.links), page.links
    for name in ("index.js", "index.css"):
        assert not re.search(r"https?://(?!localhost)", (STATIC / name).read_text()), name


def test_page_says_what_it_must() -> None:
    text = (STATIC / "index.html").read_text()
    assert "No picture leaves this device" in text
    assert "Not a medical device" in text


def test_lock_file_names_no_registry() -> None:
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    assert packages
    assert not [name for name, package in packages.items() if "resolved" in package]
