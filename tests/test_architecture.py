"""The tree keeps its shape: one direction of imports, no torch where it does not belong, small modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kdphys

ROOT = Path(kdphys.__file__).parent


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120).stdout


def test_imports_flow_one_way() -> None:
    if not (ROOT.parents[1] / "pyproject.toml").exists():
        pytest.skip("not a source checkout")
    # In a process of its own: it reconfigures logging.
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    out = subprocess.run(command, cwd=ROOT.parents[1], capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stdout
    assert "0 broken" in out.stdout


def test_import_is_instant_and_light() -> None:
    loaded = run("import sys, kdphys; print(*sys.modules)").split()
    for heavy in ("numpy", "torch", "cv2", "av", "onnxruntime", "scipy", "typer"):
        assert heavy not in loaded


@pytest.mark.parametrize(
    "code",
    [
        "import kdphys; kdphys.measure('{demo}')",
        "import sys; from kdphys.cli.main import app; app(['measure', '{demo}', '-q'], standalone_mode=False)",
        "import kdphys.serialize, kdphys.evaluate.metrics",
        "import kdphys; s = kdphys.stream(); [s.push(f) for f in kdphys.read_video('{demo}')]; s.close()",
    ],
)
def test_measuring_never_loads_torch(code: str, demo_path: Path) -> None:
    out = run(code.format(demo=demo_path) + "; import sys; print('torch' in sys.modules)")
    assert out.split()[-1] == "False"


def test_measuring_defers_what_it_never_calls(demo_path: Path) -> None:
    """NumPy's for Fortran and for tests, SciPy's for statistics: there when somebody wants it."""
    out = run(
        f"import sys, kdphys; kdphys.measure({str(demo_path)!r}, method='pos');"
        "print([m for m in sys.modules if m.startswith(('numpy.f2py.', 'numpy.testing.', 'scipy.stats'))]);"
        "import numpy; numpy.testing.assert_allclose(1, 1); print(numpy.f2py.get_include());"
        "import scipy.signal; print(scipy.signal.find_peaks_cwt(numpy.sin(numpy.arange(100) * 0.3), [3, 5])[0]);"
        "import scipy.stats; print(scipy.stats.norm.cdf(0))"
    ).splitlines()
    assert out[0] == "[]"
    assert Path(out[1]).exists()
    assert out[2:] == ["6", "0.5"]


def test_public_names() -> None:
    """What users may rely on. A change here is a change for them: the changelog must say so."""
    assert set(kdphys.__all__) == {
        "Clip", "Estimate", "Evidence", "FaceTrack", "Frame", "HrWindow", "KDPhysError", "Measurement", "Pulse",
        "Recording", "RgbTrace", "Session", "Signal", "Update", "Video", "Vitals", "WeightsSpec", "__version__",
        "estimate_pulse", "extract", "load_method", "measure", "measure_all", "measure_vitals", "read_video", "stream",
    }  # fmt: skip
    for name in kdphys.__all__:
        assert getattr(kdphys, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        kdphys.nonsense  # noqa: B018 - the attribute access is the test


def test_modules_stay_small() -> None:
    long = {str(p.relative_to(ROOT)): n for p in ROOT.rglob("*.py") if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_the_package_is_typed() -> None:
    assert (ROOT / "py.typed").exists()
