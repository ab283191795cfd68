"""What is kept of a failing step, on disk and back: JSON and npz, no pickle, no framework.

- `step_dump`: what there is to keep, as the contents of a few files.
"""
