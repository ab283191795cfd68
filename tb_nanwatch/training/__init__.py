"""The neutral half of the training side: what no framework has a part in.

The way of a step: an adapter reduces its tensors on the device and counts it (`step_counters`);
`host_schedule` says at which step the host reads the counters; their record gets its rows
(`record_rows`), and `record_writer` lays it out in blocks and `levels` within the `budget`. What
the records show is logged by `live_diagnosis`. A step that goes non-finite is analyzed by
`failing_step`.

- `protocols`: what an adapter implements for a framework.
- `watch`: which tensors to record, as the user writes it.
- `policies`: what happens after a non-finite step.
- `schedule`: how long the windows are, so that any run fits its budget.
- `host_schedule`: which step the host next looks at.
- `step_counters`: what the host reads of the steps since the last record.
- `budget`: how many bytes may still be written.
- `record_rows`: unique names of rows, and several calls as one record.
- `record_writer`: numbers records, lays them out in blocks, and survives a failing sink.
- `open_windows`: writes what is open of a process that ends.
- `session`: the identity of one stream of records.
- `live_diagnosis`: what is wrong with the training, logged while it runs.
- `console`: the logger, and how it prints.
- `warnings`: warnings that never end the training, and their collector.
- `internal_errors`: keeps NaNWatch's own errors out of the training.
- `failing_step`: the analysis of a step that went non-finite.
"""
