"""The half of the training side that no framework has a part in.

- `watch`: which tensors to record, as a person writes it.
- `schedule`: how long the windows are, so that any run fits its budget.
- `budget`: how many bytes may still be written.
- `record_writer`: numbers records, lays them out in blocks, and survives a failing sink.
- `session`: the identity of one stream of records.
- `live_diagnosis`: what is wrong with the training, said while it runs.
- `warnings`: warnings, and trouble of our own, that cannot end the training.
- `failing_step`: what is kept of a step that failed.
"""
