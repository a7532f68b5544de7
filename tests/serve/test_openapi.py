"""The description of the API, against the server by a tool that tries to break it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.serve.server import TOKEN, Running, until

# A file that fits the description (any bytes) need not be a video; what is not a WebSocket is told so.
CONFIGURATION = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "415", "426", "429", "503"]
"""


def test_the_description_is_complete(server: Running, demo_path: Path) -> None:
    document = server.client.get("openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/measurements",
        "/v1/measurements/{measurement_id}",
        "/v1/stream",
        "/healthz",
        "/metrics",
    }
    body = document["paths"]["/v1/measurements"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {"pos", "chrom"} <= set(body["properties"]["method"]["enum"])
    assert body["properties"]["method"]["default"] in body["properties"]["method"]["enum"]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    schemas = document["components"]["schemas"]
    assert {"Problem", "Result", "StreamHello", "StreamReady", "StreamUpdate", "StreamError"} <= set(schemas)
    done = server.measured(demo_path)
    whole = {"$ref": "#/components/schemas/Measurement", "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(done)
    done["result"]["measurements"][0]["sqi"] = 2
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(whole).validate(done)


@pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed")
def test_nothing_contradicts_the_description(server: Running, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += ["--config-file", str(tmp_path / "schemathesis.toml"), "--no-color", "run", f"{server.url}openapi.json"]
    command += ["--max-time", "7", "--max-examples", "6", "--seed", "1", "-H", f"Authorization: Bearer {TOKEN}"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert out.returncode == 0, out.stdout + out.stderr
    assert "6 selected" in out.stdout
    until(lambda: server.spooled() == [] or None)
    assert "Traceback" not in server.log()
