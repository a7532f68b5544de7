"""Who may ask: host names, origins, tokens, rates; and what every answer carries. Without workers: none is needed."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from kdphys.serve.app import create_app
from kdphys.serve.guard import CSP, host_name
from kdphys.serve.limits import Rate, Seats, client_of
from kdphys.serve.page import Page
from kdphys.serve.problems import Refused
from kdphys.serve.settings import Settings
from kdphys.serve.spool import Spool
from tests.serve.server import TOKEN


def ask(
    settings: Settings, *requests: tuple[str, str, dict[str, str]], client: str = "127.0.0.1"
) -> list[httpx.Response]:
    """Answers to requests (method, address, headers), one after the other."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(settings), raise_app_exceptions=False, client=(client, 50_000))
        async with httpx.AsyncClient(transport=transport) as http:
            return [await http.request(method, url, headers=headers) for method, url, headers in requests]

    return asyncio.run(run())


def get(settings: Settings, url: str, **headers: str) -> httpx.Response:
    return ask(settings, ("GET", url, {name.replace("_", "-"): value for name, value in headers.items()}))[0]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("[::1]:8000", 200),
        ("127.3.2.1", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("evil.example:8000", 400),
        ("", 400),
        ("[::1", 400),
        ("pulse.example", 200),
    ],
)
def test_only_own_names(host: str, status: int) -> None:
    """A page of another name that points to this address (DNS rebinding) gets nothing."""
    settings = Settings(allowed_hosts=("pulse.example",))
    assert get(settings, "http://localhost/", host=host).status_code == status


def test_beyond_this_machine_any_name_with_a_token() -> None:
    open_to_all = Settings(host="0.0.0.0", token=TOKEN)
    assert get(open_to_all, "http://anything.example/").status_code == 200
    named = Settings(host="0.0.0.0", token=TOKEN, allowed_hosts=("pulse.example",))
    assert get(named, "http://anything.example/").status_code == 400


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 401),
        (f"Bearer {TOKEN}", 404),
        (f"bearer  {TOKEN}", 404),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer ", 401),
        ("Bearer \xe4\xf6", 401),
    ],
)
def test_token(header: str, status: int) -> None:
    settings = Settings(token=TOKEN)
    paths = ["http://localhost/v1/measurements/x", "http://localhost/metrics", "http://localhost/v1/nothing"]
    headers = {b"authorization": header.encode("latin-1")} if header else {}
    (one, metrics, nothing) = ask(settings, *[("GET", path, headers) for path in paths])
    if status == 401:
        assert {one.status_code, metrics.status_code, nothing.status_code} == {401}
        assert one.headers["WWW-Authenticate"].startswith("Bearer")
        assert one.json()["code"] == "no_token"
    else:
        assert nothing.status_code == 404
        assert 401 not in (one.status_code, metrics.status_code)


def test_token_in_the_address_is_no_token() -> None:
    assert get(Settings(token=TOKEN), f"http://localhost/metrics?token={TOKEN}").status_code == 401


def test_a_line_end_behind_an_address_needs_the_token_too() -> None:
    for path in ("metrics%0A", "v1/measurements/x%0A"):
        assert get(Settings(token=TOKEN), f"http://localhost/{path}").status_code == 401


def test_page_needs_no_token() -> None:
    assert get(Settings(token=TOKEN), "http://localhost/").status_code == 200


@pytest.mark.parametrize(
    ("origin", "refused"),
    [
        (None, False),
        ("http://localhost:8000", False),
        ("https://localhost:8000", False),
        ("http://friend.example", False),
        ("http://evil.example", True),
        ("http://localhost:9000", True),
        ("http://localhost", True),
        ("null", True),
        ("file://", True),
    ],
)
def test_pages_of_others_may_not_change_anything(origin: str | None, refused: bool) -> None:
    settings = Settings(cors=("http://friend.example",))
    headers = {} if origin is None else {"Origin": origin}
    url = "http://localhost:8000/v1/nothing"
    post, read = ask(settings, ("POST", url, headers), ("GET", url, headers))
    assert post.status_code == (403 if refused else 404)
    assert read.status_code == 404
    allowed = read.headers.get("Access-Control-Allow-Origin")
    assert allowed == (origin if origin == "http://friend.example" else None)


def test_cors_is_off_by_default_and_answers_preflights_when_on() -> None:
    asked = {"Origin": "http://friend.example", "Access-Control-Request-Method": "DELETE"}
    url = "http://localhost/v1/measurements/x"
    off = ask(Settings(token=TOKEN), ("OPTIONS", url, asked))[0]
    assert "Access-Control-Allow-Origin" not in off.headers
    on = ask(Settings(token=TOKEN, cors=("http://friend.example",)), ("OPTIONS", url, asked))[0]
    assert on.status_code == 200
    assert on.headers["Access-Control-Allow-Origin"] == "http://friend.example"
    assert "Access-Control-Allow-Credentials" not in on.headers


def test_rate_of_one_client() -> None:
    settings = Settings(rate_per_min=30)
    answers = ask(settings, *[("GET", "http://localhost/nothing", {})] * 12)
    assert [a.status_code for a in answers] == [404] * 10 + [429] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 3
    assert answers[-1].json()["code"] == "too_many_requests"


def test_buckets_refill_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("kdphys.serve.limits.time.monotonic", lambda: now)
    rate = Rate(60, 2)
    assert [rate.take("a") for _ in range(3)] == pytest.approx([0, 0, 1])
    assert rate.take("b") == 0
    now += 1.5
    assert rate.take("a") == 0
    assert rate.take("a") == pytest.approx(0.5)
    for n in range(20_000):
        rate.take(str(n))
    assert len(rate._buckets) == 10_000


def test_seats() -> None:
    seats = Seats(3, 2, "uploads")
    with seats.seat("a"), seats.seat("a"):
        with pytest.raises(Refused) as each, seats.seat("a"):
            pass
        assert (each.value.status, each.value.code) == (429, "too_many_uploads")
        with seats.seat("b"):
            with pytest.raises(Refused) as total, seats.seat("c"):
                pass
            assert (total.value.status, total.value.code) == (503, "no_more_uploads")
    assert len(seats) == 0


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("testclient", "testclient"),
    ],
)
def test_a_client_is_an_address(address: str, client: str) -> None:
    assert client_of({"client": (address, 5)}) == client


@pytest.mark.parametrize(("host", "name"), [("a.b:80", "a.b"), ("[::1]:9", "::1"), ("A.B", "a.b"), ("[", "")])
def test_host_without_port(host: str, name: str) -> None:
    assert host_name(host) == name


def test_headers_of_every_answer() -> None:
    paths = ["/", "/index.js", "/nothing", "/v1/nothing", "/metrics"]
    for answer in ask(Settings(token=TOKEN), *[("GET", f"http://localhost{path}", {}) for path in paths]):
        assert answer.headers["Content-Security-Policy"] == CSP
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Permissions-Policy"].startswith("camera=(self)")
        assert answer.headers["Cache-Control"] in ("no-cache", "no-store")
        assert "server" not in answer.headers
    policy = {part.split()[0]: part.split()[1:] for part in CSP.split("; ")}
    assert policy["script-src"] == ["'self'", "'wasm-unsafe-eval'"]
    assert policy["default-src"] == policy["connect-src"] == policy["worker-src"] == ["'self'"]
    assert "unsafe-inline" not in CSP
    assert "http" not in CSP


def page(folder: Path, path: str, method: str = "GET") -> httpx.Response:
    async def run() -> httpx.Response:
        app = create_app()
        found = Page(folder)

        async def default(scope: Any, receive: Any, send: Any) -> None:
            await found(scope, receive, send)

        app.router.default = default
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
            return await http.request(method, f"http://localhost{path}")

    return asyncio.run(run())


def test_types_of_files_do_not_depend_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimetypes.guess_type", lambda *_: ("text/wrong", None))
    kinds = {
        "index.html": "text/html; charset=utf-8",
        "a.wasm": "application/wasm",
        "a.mjs": "text/javascript; charset=utf-8",
        "a.js": "text/javascript; charset=utf-8",
        "a.css": "text/css; charset=utf-8",
        "a.json": "application/json",
        "a.onnx": "application/octet-stream",
        "a.wasm.gz": "application/octet-stream",
        "a.svg": "image/svg+xml",
        "a.strange": "application/octet-stream",
    }
    for name, kind in kinds.items():
        (tmp_path / name).write_text("x")
        answer = page(tmp_path, f"/{name}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == kind
        assert "Content-Encoding" not in answer.headers
    assert page(tmp_path, "/").headers["Content-Type"] == kinds["index.html"]


def test_a_page_that_is_not_built_says_so(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        answer = page(folder, "/")
        assert answer.status_code == 503
        assert "npm run build" in answer.text
        assert page(folder, "/index.js").status_code == 404


@pytest.mark.parametrize(
    "path", ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "//secret", "/a/../../secret", "/\x00"]
)
def test_nothing_beside_the_page_is_served(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "index.html").write_text("hello")
    (tmp_path / "static" / "link").symlink_to(tmp_path / "secret")
    for one in (path.replace("\x00", "%00"), "/link"):
        answer = page(tmp_path / "static", one)
        assert answer.status_code == 404
        assert "secret" not in answer.text
    assert page(tmp_path / "static", "/", "POST").status_code == 404


def test_a_folder_that_was_cleaned_away_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems remove what lies in their temporary folders for days; so does a lock that was cleaned protect nothing."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spool = Spool(1000)
    shutil.rmtree(spool.path)
    file = spool.create("a")
    file.count(3)
    file.write(b"abc")
    file.close()
    assert [p.name for p in tmp_path.glob("kdphys-serve-*/*") if p.name != ".lock"] == ["a"]
    left = tmp_path / "kdphys-serve-left"
    left.mkdir()
    (left / "b").touch()
    other = Spool(1000)
    assert left.exists(), "one that may be being made"
    os.utime(left, (0, 0))
    other.close()
    Spool(1000).close()
    assert not left.exists()
    assert (spool.path / "a").exists()
    spool.close()
