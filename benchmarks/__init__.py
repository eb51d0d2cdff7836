"""Convscope beside its peers, in one process and one run: ``python -m benchmarks --help``.

A group of measurements is a module with a `Group`; it makes one table of docs/performance.md.
"""

from __future__ import annotations
