"""Kernels that execute notebooks, and the engine by which papermill uses them."""
