"""The kernels for the CPU, one module per family, and the backend that runs them."""

from __future__ import annotations
