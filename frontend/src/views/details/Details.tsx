/** The selected tensor: what formats would hold it, it over time, its histogram and all numbers. */

import { useMemo } from "preact/hooks";
import { highlightsOf } from "../../model/highlights";
import { formatShape, visibleName, wholeName } from "../../model/names";
import { formatCount, formatSteps } from "../../model/numbers";
import { roleName } from "../../model/runs";
import type { Session } from "../../state/session";
import type { CellAnswer, Tensor } from "../../wire/answers";
import { Failure, Loading } from "../notices";
import { CellNumbers } from "./CellNumbers";
import { Formats } from "./Formats";
import { Histogram } from "./Histogram";
import { Neighbors } from "./Neighbors";
import { OverTime } from "./OverTime";

export function Details({ session }: { session: Session }) {
  const tensor = session.selectedTensor.value;
  const steps = session.selectedSteps.value;
  if (!tensor || !steps) {
    return (
      <aside class="details none" id="details" tabIndex={-1} aria-label="Details">
        <p>Select a cell, by mouse or by arrow keys, for its histogram and its exact numbers.</p>
        <Worth session={session} />
      </aside>
    );
  }
  const close = () => {
    session.select(null);
    focusHeatmap();
  };
  return (
    <aside
      class="details"
      id="details"
      tabIndex={-1}
      aria-label="Details"
      onKeyDown={(event) => event.key === "Escape" && focusHeatmap()}
    >
      <header>
        <p class="where">
          {session.compared.value.length > 0 &&
            `${visibleName(session.looked.value ?? session.run.value ?? "")} · `}
          {roleName(tensor.role)} · {formatSteps(...steps)}
        </p>
        <button type="button" class="close" aria-label="Close details" onClick={close}>
          ×
        </button>
        <h2 class="name">
          <Name name={tensor.name} />
        </h2>
        <p class="belongs">{belongs(tensor)}</p>
        <Neighbors session={session} tensor={tensor} />
      </header>
      <Numbers session={session} />
    </aside>
  );
}

/** Where to look while nothing is wrong. */
function Worth({ session }: { session: Session }) {
  const grid = session.grids.norms.value;
  const detail = session.detail.value.value;
  const found = useMemo(
    () => (grid && detail && !detail.first_nonfinite ? highlightsOf(grid, detail.tensors) : []),
    [grid, detail],
  );
  if (found.length === 0) return null;
  return (
    <section class="highlights">
      <h3>Worth a look</h3>
      <ul>
        {found.map(({ what, tensor, step, value }) => (
          <li key={what}>
            <button
              type="button"
              class="link"
              onClick={() => session.select({ tensor: tensor.id, step })}
            >
              {what}: norm {value} at step {formatCount(step)},{" "}
              <code>{wholeName(tensor.name)}</code>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** It breaks after a slash before it breaks anywhere else. */
function Name({ name }: { name: string }) {
  return wholeName(name)
    .split(/(?<=\/)/)
    .map((part, index) => (
      <span key={index}>
        {part}
        <wbr />
      </span>
    ));
}

function belongs(tensor: Tensor): string {
  const parts = [formatShape(tensor)];
  if (tensor.layer) parts.unshift(`layer ${wholeName(tensor.layer)}`);
  if (tensor.worker) parts.push(`worker ${visibleName(tensor.worker)}`);
  return parts.join(" · ");
}

function Numbers({ session }: { session: Session }) {
  const answer = session.selected.cell.value.value;
  const error = session.selected.cell.error.value;
  if (!answer) {
    if (error) return <Failure what="This cell" message={error} onRetry={() => session.reload()} />;
    return <Loading what="Loading…" />;
  }
  if (answer.records === 0 || !answer.columns) {
    return <p class="nothing">Nothing was recorded here.</p>;
  }
  return (
    <div class="numbers" aria-busy={session.selected.isStale.value}>
      <Covered answer={answer} selected={session.selectedSteps.value} />
      <Formats answer={answer} />
      <OverTime session={session} />
      <Outlined session={session} answer={answer} columns={answer.columns} />
      <CellNumbers answer={answer} columns={answer.columns} />
    </div>
  );
}

/** The histogram, and which one is drawn behind it as an outline. */
function Outlined({
  session,
  answer,
  columns,
}: {
  session: Session;
  answer: CellAnswer;
  columns: NonNullable<CellAnswer["columns"]>;
}) {
  const { earlier, other, outline } = session.selected;
  const own = session.selected.run.value;
  const runs = [session.run.value ?? "", ...session.compared.value.map(({ run }) => run)].filter(
    (run) => run !== own,
  );
  const chosen = outline.value !== null && runs.includes(outline.value) ? outline.value : null;
  const behind = (chosen === null ? earlier : other).value.value;
  const steps =
    behind && behind.first_step !== null && behind.last_step !== null
      ? formatSteps(behind.first_step, behind.last_step)
      : "";
  return (
    <Histogram answer={answer} earlier={behind} columns={columns}>
      {runs.length > 0 ? (
        <label>
          {" "}
          outline:{" "}
          <select
            value={chosen ?? ""}
            onChange={(event) => {
              outline.value = event.currentTarget.value || null;
            }}
          >
            <option value="">an earlier step</option>
            {runs.map((run) => (
              <option key={run} value={run}>
                {visibleName(run)}
              </option>
            ))}
          </select>{" "}
          {steps}
        </label>
      ) : (
        steps && <> · outline: {steps}</>
      )}
    </Histogram>
  );
}

/** A record may cover more steps than the cell: then the numbers are of all of them. */
function Covered({
  answer,
  selected,
}: {
  answer: CellAnswer;
  selected: [number, number] | undefined;
}) {
  const { first_step, last_step, records } = answer;
  if (first_step === null || last_step === null) return null;
  if (selected && first_step === selected[0] && last_step === selected[1]) return null;
  const merged = records === 1 ? "One record" : `${records} merged records`;
  return (
    <p class="covered">
      {merged} of {formatSteps(first_step, last_step)}.
    </p>
  );
}

function focusHeatmap(): void {
  document.querySelector<HTMLElement>(".scroller")?.focus();
}
