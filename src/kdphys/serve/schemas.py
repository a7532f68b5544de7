"""What clients send and get, for the description of the API; units are in the names or said."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kdphys.serve.jobs import State
from kdphys.serve.upload import WINDOWS_S

#: How many times longer one side of a picture may be than the other.
MOST_SIDES = 4
Share = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(_Model):
    """Why a request was refused."""

    code: str = Field(description="stable, for programs", examples=["queue_full"])
    message: str = Field(description="for people: what was expected, what came, what to do")


class Measurement(_Model):
    """An upload and what became of it."""

    id: str = Field(description="not guessable; who knows it may fetch and delete the result")
    state: State
    created: datetime
    started: datetime | None = Field(description="when measuring began")
    finished: datetime | None
    expires_in_s: float | None = Field(description="the result is forgotten after so many seconds; null while it runs")
    error: Problem | None = Field(description="why it failed; null otherwise")
    result: dict[str, Any] | None = Field(description="null until it is done")


class Workers(_Model):
    """Processes of one kind."""

    ready: int = Field(ge=0)
    wanted: int = Field(ge=1)
    restarts: int = Field(ge=0, description="that died since the start")


class Health(_Model):
    """Whether the server can measure."""

    status: Literal["ok", "starting", "shutting_down"]
    version: str
    measuring: Workers = Field(description="for uploads")
    streaming: Workers = Field(description="for streams")
    jobs: dict[str, int] = Field(description="by state")
    streams: int = Field(ge=0, description="open now")


class StreamHello(_Model):
    """The first message of a client, JSON. Then: binary messages of an 8-byte little-endian float64 time in seconds,
    increasing, and a JPEG or width × height × 3 bytes of RGB."""

    method: str | None = Field(
        default=None, description="as of `POST /v1/measurements`; the server's default if left out"
    )
    format: Literal["jpeg", "rgb"]
    width: int = Field(ge=16, le=8192, strict=True, description="of each frame, pixels")
    height: int = Field(ge=16, le=8192, strict=True, description="of each frame, pixels")
    crop: bool = Field(
        default=False,
        strict=True,
        description="frames are a crop of 1.5 × the face box around its centre: no face is looked for",
    )
    window: float = Field(default=10.0, ge=WINDOWS_S[0], le=60.0, description="for the heart rate, seconds")

    @model_validator(mode="after")
    def _like_a_camera(self) -> StreamHello:
        if max(self.width, self.height) > MOST_SIDES * min(self.width, self.height):
            raise ValueError(f"one side may be {MOST_SIDES} times the other at most, got {self.width}×{self.height}")
        return self


class StreamReady(_Model):
    """The stream has begun."""

    type: Literal["ready"]
    method: str
    latency_s: float = Field(description="how far the waveform lags behind the newest frame, seconds")
    max_frame_bytes: int
    queue_frames: int = Field(description="frames that may wait; then the oldest are dropped")


class Estimate(_Model):
    """One vital sign."""

    value: float | None = Field(description="null when it cannot be told; then reason says why")
    unit: str
    confidence: Share | None
    window_s: tuple[float | None, float | None] | None = Field(description="stretch of time that it was computed on")
    min_s: float = Field(description="the shortest stretch that it is computed on, seconds")
    reason: str | None


class Waveform(_Model):
    """The pulse wave of the last 10 s."""

    start_s: float | None = Field(description="time of the first sample, on the clock of the frames, seconds")
    fs: float = Field(description="samples a second")
    values: list[float | None] = Field(description="arbitrary unit, systole upwards; null in gaps")


class StreamCounts(_Model):
    """What happened to the frames so far."""

    received: int = Field(description="well-formed frames that came")
    measured: int
    dropped: int = Field(description="the oldest that waited, since measuring did not keep up")
    malformed: int = Field(description="messages that were no frame, and pictures that could not be decoded")
    queued: int = Field(description="that wait now")
    late: int = Field(description="refused, since their time did not increase")
    gaps: int = Field(description="stretches of more than 0.5 s without frames")
    lost: int = Field(description="times the face went away")
    persons: int = Field(description="measured one after the other")
    clock_jumps: int = Field(description="times the clock of the frames was set back")


class StreamUpdate(_Model):
    """Once for each second of the stream."""

    type: Literal["update"]
    final: bool = Field(description="the last one, after the client said that it ends")
    t: float | None = Field(description="time of the newest frame, seconds")
    method: str
    reliable: bool
    reasons: list[str]
    advice: list[str]
    notes: list[str]
    sqi: Share = Field(description="share of such heart rates that are within 5 bpm of the truth")
    heart_rate: Estimate
    respiration_rate: Estimate
    hrv: dict[str, Estimate]
    person: int | None
    box: list[float | None] | None = Field(description="of the face: x0, y0, x1, y1, pixels")
    fps: float | None = Field(description="frames a second that were measured")
    waveform: Waveform
    counts: StreamCounts


class StreamError(_Model):
    """A message that was not understood, or why the stream ends."""

    type: Literal["error"]
    code: str
    message: str
    counts: StreamCounts


#: For the description of the API, beside what its operations name.
STREAM_MODELS: tuple[type[BaseModel], ...] = (StreamHello, StreamReady, StreamUpdate, StreamError)
