"""Read by mypy and basedpyright, never run: what an editor knows of the public surface."""
