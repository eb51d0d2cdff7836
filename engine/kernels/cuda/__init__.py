"""CUDA kernels, twins of those in `engine.kernels.cpu` under the same names."""
