/** The cell under the pointer: at once what the grid knows, then the exact numbers. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { describeCell, describeDifference } from "../../model/cell_text";
import { visibleName, wholeName } from "../../model/names";
import { formatCount, formatNumber, formatSteps } from "../../model/numbers";
import { roleName } from "../../model/runs";
import { formatTime } from "../../model/scale";
import type { ComparedRun } from "../../state/compared_run";
import type { Session } from "../../state/session";
import { type CellAnswer, numberFromWire, type Tensor } from "../../wire/answers";

/** Passing over cells asks for none of them. */
const REST_MS = 90;
const APART = 14;

export interface Hovered {
  tensor: Tensor;
  steps: [number, number];
  /** Where the pointer is, in the page. */
  x: number;
  y: number;
  /** The run that the cell is of, where it is not the chosen one. */
  beside?: ComparedRun | undefined;
}

interface TooltipProps {
  session: Session;
  hovered: Hovered;
}

export function Tooltip({ session, hovered }: TooltipProps) {
  const { tensor, steps, x, y, beside } = hovered;
  const grid = session.gridsOf(beside?.run ?? null).gridAt(steps[0]);
  const difference =
    beside && session.difference.value
      ? describeDifference(beside.differences.value, tensor.id, steps[0], detailRun(session))
      : "";
  const answer = useExactCell(session, hovered);
  const times = (beside?.detail ?? session.detail).value.value?.times;
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const { offsetWidth: width, offsetHeight: height } = element;
    const left = x + APART + width > window.innerWidth ? x - APART - width : x + APART;
    const top = y + APART + height > window.innerHeight ? y - APART - height : y + APART;
    element.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
  });
  return (
    <div class="tooltip" ref={box} role="tooltip">
      <p class="where">
        {beside && `${visibleName(beside.run)} · `}
        {roleName(tensor.role)} · {formatSteps(...steps)}
      </p>
      {times && <p class="when">{formatTime(times, steps[0])}</p>}
      <p class="name">{wholeName(tensor.name)}</p>
      {grid && <p class="known">{describeCell(grid, tensor.id, steps[0])}</p>}
      {difference && <p class="known">{difference}</p>}
      {answer?.columns && <Exact answer={answer} />}
    </div>
  );
}

function detailRun(session: Session): string {
  return visibleName(session.run.value ?? "");
}

function Exact({ answer }: { answer: CellAnswer }) {
  const columns = answer.columns;
  if (!columns) return null;
  const number = (name: keyof typeof columns) => numberFromWire(columns[name]);
  return (
    <dl class="exact">
      <dt>NaN</dt>
      <dd>{formatCount(number("nan"))}</dd>
      <dt>+Inf</dt>
      <dd>{formatCount(number("pos_inf"))}</dd>
      <dt>−Inf</dt>
      <dd>{formatCount(number("neg_inf"))}</dd>
      <dt>of elements</dt>
      <dd>{formatCount(number("elements"))}</dd>
      <dt>largest norm</dt>
      <dd>{columns.largest_norm === null ? "–" : formatNumber(number("largest_norm"))}</dd>
      {answer.records > 0 && answer.first_step !== null && answer.last_step !== null && (
        <>
          <dt>recorded as</dt>
          <dd>{formatSteps(answer.first_step, answer.last_step)}</dd>
        </>
      )}
    </dl>
  );
}

/** The exact numbers of the cell, once the pointer has come to rest on it. */
function useExactCell(
  session: Session,
  { tensor, steps, beside }: Hovered,
): CellAnswer | undefined {
  const run = beside?.run ?? session.run.value ?? "";
  const [first, last] = steps;
  const query = { run, tensor: tensor.id, first, last };
  const [, setArrivals] = useState(0);
  useEffect(() => {
    if (session.selected.cells.peek(query)) return undefined;
    const controller = new AbortController();
    const arrived = () => setArrivals((arrivals) => arrivals + 1);
    // What the grid knows is shown anyhow; why it failed is told where a cell is selected.
    const failed = () => undefined;
    const timer = setTimeout(
      () => session.selected.cells.get(query, controller.signal).then(arrived, failed),
      REST_MS,
    );
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [run, tensor.id, first, last, session]);
  return session.selected.cells.peek(query);
}
