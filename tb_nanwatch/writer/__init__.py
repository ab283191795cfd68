"""From records to events: windows, blocks and the byte budget; and where the events go.

- `budget`: how many bytes may still be written.
- `schedule`: how long the windows are, so that any run fits its budget.
- `levels`: the merges of records that make a long run quick to read.
- `record_writer`: numbers records, lays them out in blocks, and survives a failing sink.
- `session`: the identity of one stream of records.
- `tensorflow_sink`: an event file of our own, by TensorFlow's writer of records.
- `warnings`: warnings, and trouble of our own, that cannot end the training.
"""
