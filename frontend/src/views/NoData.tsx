/** How to record, where nothing has been recorded. */

import { visibleName } from "../model/names";
import { CodeBlock } from "./CodeBlock";

const FIT = `import tb_nanwatch as nanwatch

model.fit(x, y, callbacks=[nanwatch.Callback("logs/run1")])`;

const LOOP = `import tb_nanwatch as nanwatch

writer = tf.summary.create_file_writer("logs/run1")
with writer.as_default():
    nanwatch.summary("gradients", zip(grads, model.trainable_variables), step=step)`;

interface NoDataProps {
  /** The log directory or the run that is empty, where it is known. */
  where: string | undefined;
  onReload: () => void;
}

export function NoData({ where, onReload }: NoDataProps) {
  return (
    <section class="no-data">
      <h2>No NaNWatch data in {where ? <code>{visibleName(where)}</code> : "the log directory"}</h2>
      <p>
        Add the callback to your training and point it below the directory that TensorBoard reads.
        The first steps appear after the next reload.
      </p>
      <CodeBlock title="With model.fit" code={FIT} />
      <CodeBlock title="In a custom training loop" code={LOOP} />
      <button type="button" onClick={onReload}>
        Reload
      </button>
    </section>
  );
}
