"""Data: sets of samples, batches in a replayable order, readers and transforms."""

from __future__ import annotations

from engine.data.dataset import Dataset
from engine.data.loader import DataLoader
from engine.data.mnist import load_idx, load_mnist, load_mnist_split

__all__ = ["DataLoader", "Dataset", "load_idx", "load_mnist", "load_mnist_split"]
