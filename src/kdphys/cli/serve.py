"""``kdphys serve``: the page that measures in the browser, and the API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on. Beyond this machine a token is required.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="KDPHYS_TOKEN",
            help="What clients of the API must send as 'Authorization: Bearer TOKEN'. Others on this machine can see "
            "the command line: better set the variable, or --token-file.",
        ),
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="File that holds the token.")] = None,
    cors: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Let pages of this origin use the API; repeatable.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Name by which clients may call the server; repeatable.")
    ] = None,
    proxy: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Reverse proxy whose X-Forwarded-For is believed. Needs a token.")
    ] = "",
    workers: Annotated[int, typer.Option(min=0, help="Processes that measure uploads; 0: half of the cores.")] = 0,
    stream_workers: Annotated[
        int, typer.Option(min=0, help="Processes that measure streams; 0: half of the cores.")
    ] = 0,
    max_streams: Annotated[int, typer.Option(min=1, help="Streams at once.")] = 16,
    max_upload_mb: Annotated[int, typer.Option(min=1, help="Largest upload, MB.")] = 1074,
    max_duration: Annotated[float, typer.Option(min=1, help="Longest video, seconds.")] = 1800.0,
    job_timeout: Annotated[float, typer.Option(min=1, help="Longest time for measuring one video, seconds.")] = 900.0,
    memory_mb: Annotated[int, typer.Option(min=1074, help="Address space of a worker process, MB (Linux).")] = 4295,
    queue: Annotated[int, typer.Option(min=1, help="Uploads that may wait.")] = 32,
    keep: Annotated[float, typer.Option(min=1, help="Results are kept in memory this long, seconds.")] = 900.0,
    rate: Annotated[float, typer.Option(min=0, help="Requests a minute and client; 0 does not limit.")] = 600.0,
    per_client: Annotated[
        int, typer.Option(min=0, help="Uploads, and streams, of one client at once; 0: 4 and 8.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings only.")] = False,
) -> None:
    """Serve the page that measures in the browser, and an API for those who send video.

    Uploads are deleted after measuring, results are kept in memory for a while. Not a medical device.
    """
    import logging

    from kdphys.errors import InvalidInputError, MissingExtraError

    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    from kdphys.serve.run import log_to_stderr, run
    from kdphys.serve.settings import Settings

    if token_file is not None:
        try:
            token = token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"{token_file}: the token cannot be read from there ({error})") from error
    chosen = {
        "workers": workers,
        "stream_workers": stream_workers,
        "client_uploads": per_client,
        "client_streams": per_client,
    }
    settings = Settings(
        host=host,
        port=port,
        token=token,
        cors=tuple(origin.lower() for origin in cors or ()),
        allowed_hosts=tuple(name.lower() for name in allowed_host or ()),
        proxy=proxy,
        max_streams=max_streams,
        max_upload_bytes=max_upload_mb * 1_000_000,
        max_duration_s=max_duration,
        job_timeout_s=job_timeout,
        memory_bytes=memory_mb * 1_000_000,
        queue=queue,
        keep_s=keep,
        rate_per_min=rate,
        **{name: value for name, value in chosen.items() if value},
    )
    log_to_stderr(logging.WARNING if quiet else logging.INFO)
    run(settings)
