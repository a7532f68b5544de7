"""Whether an MP4 or QuickTime file is all there, from its outer boxes (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

from pathlib import Path

from kdphys.errors import VideoError

_FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp"})


def check_whole(path: Path) -> None:
    """Refuse a cut-off MP4 or QuickTime file; other files pass.

    Raises:
        VideoError: a box ends behind the end of the file, or there is no index.
    """
    size = path.stat().st_size
    at, kinds = 0, set()
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if at == 0 and kind not in _FIRST:
                return
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            elif length == 0:
                length = size - at
            if length < 8 or not kind.isalnum():
                break  # not a box: padding behind the last one
            kinds.add(kind)
            if at + length > size and kind in (b"mdat", b"moov", b"moof"):
                raise VideoError(
                    f"{path}: the file is cut off: {at + length:,} bytes are promised and {size:,} are there; "
                    "copy it again from where it was recorded"
                )
            at += length
    if b"moov" not in kinds:
        raise VideoError(
            f"{path}: the file is cut off before its index; the recording was not finished, or the copy was not"
        )
