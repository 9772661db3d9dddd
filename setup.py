"""Builds the compiled parts: every .pyx file below ext/ becomes the extension module of its place."""

from __future__ import annotations

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = sorted(Path("ext").rglob("*.pyx"))

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
                ".".join(source.with_suffix("").parts),
                [str(source)],
                extra_compile_args=["-O2", "-fno-strict-aliasing", "-Wno-unreachable-code"],
            )
            for source in SOURCES
        ],
        compiler_directives=DIRECTIVES,
    ),
)
