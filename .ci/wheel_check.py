"""Build the wheel, install it into an empty environment, and use it from another folder.

The environment sees this one's dependencies through a .pth file, so that only the wheel itself is installed.
"""

import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROBE = """
import xanes_hpc, xanes_hpc_kernels.neighbours, xanes_hpc_schema, pathlib, sys
for module in (xanes_hpc, xanes_hpc_kernels, xanes_hpc_schema):
    assert pathlib.Path(module.__file__).is_relative_to(sys.prefix), module.__file__
print(xanes_hpc_schema.load("structures")["format"], xanes_hpc.__version__)
"""


def main() -> None:
    """Raise where anything is not as it must be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
        subprocess.run(build, check=True, capture_output=True)
        (wheel,) = folder.glob("*.whl")
        top = {entry.split("/")[0] for entry in zipfile.ZipFile(wheel).namelist()}
        packages = {t for t in top if not t.endswith(".dist-info")}
        assert packages == {"xanes_hpc", "xanes_hpc_kernels", "xanes_hpc_schema"}, packages
        venv.create(folder / "env", with_pip=True)
        python = folder / "env" / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
        purelib = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        # appended, not processed for .pth files: the editable install of this environment stays out
        (Path(purelib) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        said = subprocess.run([python, "-c", PROBE], check=True, cwd=elsewhere, capture_output=True, text=True).stdout
        helped = subprocess.run(
            [folder / "env" / "bin" / "xanes-hpc", "--help"], check=True, cwd=elsewhere, capture_output=True, text=True
        ).stdout
        assert "featurise" in helped
        print(f"{wheel.name}: {', '.join(sorted(packages))}; {said.strip()}")


if __name__ == "__main__":
    main()
