"""Builds the compiled parts: every ext/*.pyx becomes an extension module of the same name."""

from __future__ import annotations

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = sorted(Path("ext").glob("*.pyx"))

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": False,
    "freethreading_compatible": False,
}

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"ext.{source.stem}",
                [str(source)],
                extra_compile_args=["-O2", "-fno-strict-aliasing", "-Wno-unreachable-code"],
            )
            for source in SOURCES
        ],
        compiler_directives=DIRECTIVES,
    ),
)
