"""Log directories, read and diagnosed without a TensorBoard that serves them.

- `loading`: a log directory as a DataProvider; by `data_server` or by `python_loader`.
- `runs`: the runs of log directories, each with its verdict.
- `progress`: a bar for what takes long.
"""
