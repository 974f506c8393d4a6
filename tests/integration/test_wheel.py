"""The wheel holds rar_tf alone, and the README's example runs from it outside the checkout."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
EXAMPLE = re.compile(
    r"<!-- example:start -->\s*```python\n(.*?)```\s*<!-- example:end -->", re.DOTALL
)


def run(*command: str | pathlib.Path, cwd: pathlib.Path) -> str:
    """Output of a command that knows nothing of the checkout."""
    unwanted = {"PYTHONPATH", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    result = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """Built from a copy of what git tracks, so that no build folder is left in the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    listing = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file() and (name.endswith(".py") or name.startswith("rar_tf/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    for path in (ROOT / "pyproject.toml", ROOT / "LICENSE", README):
        if path.is_file():
            shutil.copy(path, copy)
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "--wheel-dir", copy / "wheels", copy, cwd=copy)
    (built,) = (copy / "wheels").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> pathlib.Path:
    """The interpreter of a fresh environment with the wheel, beside this one's other packages."""
    folder = tmp_path_factory.mktemp("user") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    interpreter = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", interpreter, "install")
    run(*pip, "--no-deps", "--no-index", wheel, cwd=folder)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return interpreter


def test_wheel_holds_the_library_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    packages = {name.split("/")[0] for name in names}
    assert packages == {"rar_tf", f"{wheel.name.rsplit('-py3', 1)[0]}.dist-info"}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "rar_tf").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    assert "rar_tf/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_installed_version_is_that_of_the_source(python):
    code = (
        "import importlib.metadata, rar_tf; "
        "print(rar_tf.__version__, importlib.metadata.version('rar-tf'), rar_tf.__file__)"
    )
    version, metadata, file = run(python, "-c", code, cwd=python.parent).splitlines()[-1].split()
    assert version == metadata
    assert pathlib.Path(file).is_relative_to(python.parent.parent)


@pytest.mark.skipif(not README.is_file(), reason="README.md is not written yet")
def test_readme_example_runs(python, tmp_path):
    examples = EXAMPLE.findall(README.read_text(encoding="utf-8"))
    assert len(examples) == 1, "expected one python block between the example markers of README.md"
    (tmp_path / "example.py").write_text(examples[0], encoding="utf-8")
    run(python, "example.py", cwd=tmp_path)
