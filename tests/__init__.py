"""The tests mirror the rooms of src/quoth. This package exists so that they can share the fault server."""
