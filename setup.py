"""The build of the compiled parts: every .pyx file below ext/ becomes the extension module of its place.

Files are translated to C and compiled in parallel, a job for each core. TIDEMILL_DEBUG_BUILD=1 builds for the search
for faults, with checked indexes, AddressSanitizer and little optimisation; .github/CONTRIBUTING.md says how to run it.
"""

from __future__ import annotations

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = sorted(Path("ext").rglob("*.pyx"))
JOBS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
DEBUG = os.environ.get("TIDEMILL_DEBUG_BUILD", "") not in ("", "0")

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": DEBUG,
    "embedsignature": False,
    "freethreading_compatible": False,
}
OPTIMISED = ["-O2", "-fno-strict-aliasing", "-Wno-unreachable-code"]
CHECKED = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address", "-fno-strict-aliasing"]

setup(
    ext_modules=cythonize(
        [
            Extension(
                ".".join(source.with_suffix("").parts),
                [str(source)],
                extra_compile_args=CHECKED if DEBUG else OPTIMISED,
                extra_link_args=["-fsanitize=address"] if DEBUG else [],
            )
            for source in SOURCES
        ],
        compiler_directives=DIRECTIVES,
        nthreads=JOBS,
        force=DEBUG,
    ),
    options={"build_ext": {"parallel": JOBS}},
)
