import { expect, test } from "vitest";
import { issueText } from "../src/model/issue";
import { detail, finding } from "./answers";

test("an issue has the verdict, the code, the operands, the fix and the versions", () => {
  const element = { index: [3, 0], value: "0.0" };
  const text = issueText(
    finding({
      headline: "NaN at step 31 · `Sqrt` in layer `length`, backward · model.py:57",
      message: "`Sqrt` has a gradient of -Inf.",
      advice: "Add an epsilon.",
      fix_code: "y = tf.sqrt(x + 1e-6)",
      origin: {
        ...{ role: "gradient", layer: "length", tensor: "w" },
        operation: {
          ...{ type: "Sqrt", pass: "backward", layer: "length", file: "model.py", line: 57 },
          source: [
            { line: 56, text: "  def call(self, x):" },
            { line: 57, text: "    return tf.sqrt(x)" },
          ],
          operands: [{ name: "x", dtype: "float32", shape: [8, 2], elements: [element] }],
          result: { dtype: "float32", shape: [8, 2], elements: [{ ...element, value: "-inf" }] },
        },
      },
    }),
    detail({ run: "a/b" }),
  );
  expect(text).toBe(`## NaN at step 31 · \`Sqrt\` in layer \`length\`, backward · model.py:57

\`Sqrt\` has a gradient of -Inf.

### Sqrt in the backward pass of layer length

model.py:57

\`\`\`
    56 def call(self, x):
>   57   return tf.sqrt(x)
\`\`\`

| index | x (float32, 8 × 2) | result (float32, 8 × 2) |
| --- | --- | --- |
| [3, 0] | 0.0 | -inf |

### Fix

Add an epsilon.

\`\`\`python
y = tf.sqrt(x + 1e-6)
\`\`\`

Run \`a/b\`, steps 0 to 239; keras 3.15.1, tensorflow 2.21.0. Found by NaNWatch.
`);
});

test("a fence is longer than any in the code", () => {
  const text = issueText(finding({ fix_code: "s = '''\n```\n'''" }), detail());
  expect(text).toContain("````python\n");
});
