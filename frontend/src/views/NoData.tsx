/** How to record, where nothing has been recorded. */

import { useState } from "preact/hooks";
import { copyText } from "./files";

const FIT = `import tb_nanwatch as nanwatch

model.fit(x, y, callbacks=[nanwatch.Callback("logs/run1")])`;

const LOOP = `import tb_nanwatch as nanwatch

writer = tf.summary.create_file_writer("logs/run1")
with writer.as_default():
    nanwatch.summary("gradients", zip(grads, model.trainable_variables), step=step)`;

export function NoData({ title, onRetry }: { title: string; onRetry: () => void }) {
  return (
    <section class="no-data">
      <h2>{title}</h2>
      <p>
        NaNWatch shows what training code records. Record it like this, into the directory that
        TensorBoard reads, and the first window of steps appears with TensorBoard’s next reload.
      </p>
      <Snippet title="With model.fit" code={FIT} />
      <Snippet title="In a custom training loop" code={LOOP} />
      <button type="button" onClick={onRetry}>
        Look again
      </button>
    </section>
  );
}

function Snippet({ title, code }: { title: string; code: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    setCopied(await copyText(code));
  };
  return (
    <figure class="snippet">
      <figcaption>
        {title}
        <button type="button" aria-label={`Copy: ${title}`} onClick={copy}>
          {copied ? "Copied" : "Copy"}
        </button>
      </figcaption>
      <pre>
        <code>{code}</code>
      </pre>
    </figure>
  );
}
