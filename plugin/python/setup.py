"""Builds the shared library with cargo and puts it into the package."""

import json
import os
import pathlib
import shutil
import subprocess

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

CRATE = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = "hlo2dae-plugin"


def build_library() -> pathlib.Path:
    """Builds the library and returns its path; `HLO2DAE_LIBRARY` names one that is already built."""
    given = os.environ.get("HLO2DAE_LIBRARY")
    if given:
        return pathlib.Path(given)
    if not (CRATE / "Cargo.toml").is_file():
        raise SystemExit("hlo2dae is built from its source tree: run `pip install ./plugin/python` there")
    cargo = os.environ.get("CARGO", "cargo")
    if shutil.which(cargo) is None:
        raise SystemExit(f"hlo2dae is built with Rust's cargo, and `{cargo}` was not found: install Rust from https://rustup.rs")
    command = [cargo, "build", "--release", "--locked", "--lib", "--package", PACKAGE]
    command += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=CRATE, stdout=subprocess.PIPE, check=True, text=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and "cdylib" in message["target"]["crate_types"]:
            if message["target"]["name"] == "hlo2dae":
                return next(pathlib.Path(f) for f in message["filenames"] if pathlib.Path(f).suffix in (".so", ".dylib"))
    raise SystemExit("cargo built no shared library")


class BuildPy(build_py):
    """Adds the library to the package's files."""

    def run(self):
        super().run()
        library = build_library()
        target = pathlib.Path(self.build_lib) / "hlo2dae" / f"libhlo2dae{library.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library, target)


class Wheel(bdist_wheel):
    """The library depends on the machine, and on no version of Python."""

    def get_tag(self):
        _, _, platform = super().get_tag()
        return "py3", "none", platform


class BinaryDistribution(Distribution):
    """A distribution with machine code."""

    def has_ext_modules(self):
        return True


setup(cmdclass={"build_py": BuildPy, "bdist_wheel": Wheel}, distclass=BinaryDistribution)
