"""An upload on its way to disk: multipart, streamed, bounded in size and time, known by its content."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from kdphys.serve.jobs import Options
from kdphys.serve.metrics import Metrics
from kdphys.serve.problems import Refused
from kdphys.serve.settings import Settings
from kdphys.serve.spool import Spool, SpoolFile

#: Windows for the heart rate that may be asked for, seconds.
WINDOWS_S = (6.0, 300.0)
#: What is multipart about a request, beside the file, bytes.
_OVERHEAD = 64 << 10
_FIELD = 256
_FIELDS = ("file", "method", "faces", "window")
#: Bytes of a file that tell its type.
_HEAD = 512
_MAGICS = (
    *(b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"FLV\x01", b"OggS", b"GIF87a", b"GIF89a"),
    *(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\x06\x0e\x2b\x34\x02\x05\x01\x01", b"YUV4MPEG2 "),
)
#: Bytes that are collected before they are written.
_CHUNK = 1 << 20


def is_video(head: bytes) -> bool:
    """Whether a file that begins like this can be a video; the decoder has the last word.

    MP4, MOV, 3GP; Matroska, WebM; AVI; MPEG transport and program streams; FLV; ASF/WMV; Ogg; MXF; GIF; YUV4MPEG.
    """
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
        return True
    if head[:4] == b"RIFF":
        return head[8:11] == b"AVI"
    if head.startswith(_MAGICS):
        return True
    return any(head[at : at + 1] == head[at + step : at + step + 1] == b"\x47" for at, step in ((0, 188), (4, 192)))


@dataclass(frozen=True)
class Received:
    """A whole upload."""

    file: SpoolFile
    options: Options


class _Parser:
    """Parts of a form as they come: small fields are kept, the file's bytes are handed on."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.file_seen = self.file_ended = self.ended = False
        self._seen: set[str] = set()
        self._data: list[bytes] = []
        self._name = ""
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""
        self._value = bytearray()
        callbacks = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._open,
            "on_part_data": self._take,
            "on_part_end": self._end,
            "on_end": self._finish,
        }
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take bytes of the request; give back bytes of the file."""
        self._parser.write(chunk)
        out, self._data = self._data, []
        return out

    def _begin(self) -> None:
        self._disposition, self._value = b"", bytearray()

    def _header_end(self) -> None:
        name, value = self._header
        if bytes(name).lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _open(self) -> None:
        kind, about = parse_options_header(self._disposition)
        name = about.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or name not in _FIELDS:
            raise Refused(422, "unknown_field", f"expected the fields {', '.join(_FIELDS)}, got {name[:40]!r}")
        if name in self._seen:
            raise Refused(422, "repeated_field", f"the field {name!r} came twice")
        self._seen.add(name)
        self._name = name
        self.file_seen |= name == "file"

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._name == "file":
            self._data.append(data[start:end])
        else:
            self._value += data[start:end]
            if len(self._value) > _FIELD:
                raise Refused(422, "bad_field", f"the field {self._name!r} is longer than {_FIELD} bytes")

    def _end(self) -> None:
        if self._name == "file":
            self.file_ended = True
            return
        try:
            self.fields[self._name] = self._value.decode()
        except UnicodeDecodeError:
            raise Refused(422, "bad_field", f"the field {self._name!r} is not UTF-8") from None

    def _finish(self) -> None:
        self.ended = True


def check_options(fields: dict[str, str], methods: Collection[str], default: str) -> Options:
    """Fields of the form as options.

    Raises:
        Refused: 422, a value is out of range.
    """
    method = fields.get("method", default)
    if method not in methods:
        raise Refused(422, "unknown_method", f"unknown method {method[:40]!r}; known: {', '.join(methods)}")
    faces = fields.get("faces", "largest")
    if faces not in ("largest", "all"):
        raise Refused(422, "bad_field", f"faces must be 'largest' or 'all', got {faces[:40]!r}")
    text = fields.get("window", "10")
    try:
        window = float(text)
    except ValueError:
        window = math.nan
    if not WINDOWS_S[0] <= window <= WINDOWS_S[1]:
        low, high = WINDOWS_S
        raise Refused(422, "bad_field", f"window must be from {low:g} to {high:g} s, got {text[:40]!r}")
    return Options(method, faces, window)


def check_headers(request: Request, most: int) -> bytes:
    """The boundary of the parts, when the headers promise a form of a fitting size.

    Raises:
        Refused: 413 or 415.
    """
    kind, about = parse_options_header(request.headers.get("content-type", ""))
    boundary = about.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:
        raise Refused(415, "not_a_form", "expected multipart/form-data with a boundary and a part 'file'")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > most + _OVERHEAD:
        raise _too_large(most)
    return boundary


def _too_large(most: int) -> Refused:
    return Refused(413, "too_large", f"at most {most / 1e6:.0f} MB are measured here; send a shorter or smaller video")


async def _chunks(request: Request, idle_s: float) -> AsyncIterator[bytes]:
    """The body as it comes; a client that is silent for too long is refused."""
    body = request.stream()
    while True:
        try:
            async with asyncio.timeout(idle_s):
                chunk = await anext(body)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refused(408, "too_slow", f"nothing came for {idle_s:g} s") from None
        except ClientDisconnect:
            raise Refused(400, "cut_off", "the connection ended in the middle of the upload") from None
        if chunk:
            yield chunk


async def receive(
    request: Request, spool: Spool, name: str, methods: Collection[str], default: str, s: Settings, metrics: Metrics
) -> Received:
    """Take an upload to disk.

    Args:
        request: with a body that was not read.
        spool: where it goes.
        name: of the file there.
        methods, default: that can be asked for.
        s: limits.
        metrics: where bytes are counted.

    Raises:
        Refused: whatever is wrong with it; nothing of it stays.
    """
    parser = _Parser(check_headers(request, s.max_upload_bytes))
    file: SpoolFile | None = None
    try:
        file = spool.create(name)
        async with asyncio.timeout(s.upload_timeout_s):
            await _take(
                request, parser, file, spool, s, metrics, lambda: check_options(parser.fields, methods, default)
            )
        return Received(file, check_options(parser.fields, methods, default))
    except BaseException as error:
        if file is not None:
            file.delete()
        if isinstance(error, TimeoutError):
            raise Refused(408, "too_slow", f"the upload did not end within {s.upload_timeout_s:g} s") from None
        if isinstance(error, FormParserError):
            raise Refused(400, "bad_form", f"the form is malformed: {error}"[:300]) from None
        if isinstance(error, OSError):
            raise Refused(503, "no_space", "the upload cannot be stored; try again later", 30) from error
        raise


async def _take(
    request: Request,
    parser: _Parser,
    file: SpoolFile,
    spool: Spool,
    s: Settings,
    metrics: Metrics,
    check: Callable[[], object],
) -> None:
    head, known = bytearray(), False
    waiting: list[bytes] = []
    size = total = 0
    async for chunk in _chunks(request, s.idle_timeout_s):
        total += len(chunk)
        metrics.upload_bytes.inc(len(chunk))
        if total > s.max_upload_bytes + _OVERHEAD:
            raise _too_large(s.max_upload_bytes)
        begins = not parser.file_seen
        parts = parser.feed(chunk)
        if begins and parser.file_seen:
            check()  # a wrong option is refused before the file has come
        for data in parts:
            waiting.append(data)
            size += len(data)
            if not known:
                head += data[: _HEAD - len(head)]
        if not known and (len(head) >= _HEAD or parser.file_ended):
            known = _check_type(bytes(head))
        if file.size + size > s.max_upload_bytes:
            raise _too_large(s.max_upload_bytes)
        if size >= _CHUNK or (parser.file_ended and waiting):
            if not spool.has_room(size):
                raise Refused(503, "no_space", "too many uploads wait; try again later", 5)
            file.count(size)
            await asyncio.to_thread(file.write, b"".join(waiting))
            waiting, size = [], 0
    if not parser.ended:
        raise Refused(400, "bad_form", "the form ends in the middle")
    if not parser.file_seen:
        raise Refused(422, "no_file", "the form has no part 'file'")
    await asyncio.to_thread(file.close)


def _check_type(head: bytes) -> bool:
    if not head:
        raise Refused(422, "empty", "the file is empty")
    if not is_video(head):
        raise Refused(415, "not_a_video", "the file does not begin like a video (MP4, MOV, MKV, WebM, AVI, MPEG, …)")
    return True
