/** The cell under the pointer: at once what the grid knows, then the exact numbers. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { CellCache } from "../../api/answer_cache";
import { allNonfiniteText, describeCell, describeDifference } from "../../model/cell_text";
import { roleName, visibleName, wholeName } from "../../model/names";
import { formatCount, formatNumber, formatSteps } from "../../model/numbers";
import { formatTime } from "../../model/scale";
import { type CellAnswer, numberFromWire, type Times } from "../../wire/answers";
import type { Grid } from "../../wire/grid";
import type { HoveredCell } from "./hit_test";

/** Cells that the pointer passes over are not loaded. */
const REST_MS = 90;
const POINTER_DISTANCE = 14;

interface TooltipProps {
  hovered: HoveredCell;
  /** Name of the selected run. */
  selectedRun: string;
  /** The finest grid of the hovered cell. */
  grid: Grid | undefined;
  /** The times of the run of the hovered cell. */
  times: Times | null | undefined;
  showDifference: boolean;
  cells: CellCache;
}

export function Tooltip(props: TooltipProps) {
  const { hovered, selectedRun, grid, times, showDifference, cells } = props;
  const { tensor, steps, compared } = hovered;
  const answer = useExactCell(cells, compared?.run ?? selectedRun, hovered);
  const all = answer?.columns ? allNonfiniteText(answer.columns) : "";
  const usual = numberFromWire(answer?.usual_norm);
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (box.current) placeBeside(box.current, hovered);
  });
  return (
    <div class="tooltip" ref={box} role="tooltip">
      <p class="where">
        {compared && `${visibleName(compared.run)} · `}
        {roleName(tensor.role)} · {formatSteps(...steps)}
      </p>
      {times && <p class="when">{formatTime(times, steps[0])}</p>}
      <p class="name">{wholeName(tensor.name)}</p>
      {grid && <p class="known">{all || describeCell(grid, tensor.id, steps[0], usual)}</p>}
      <FirstStep tensor={compared?.tensors.value.get(tensor.id) ?? tensor} steps={steps} />
      {compared && showDifference && (
        <p class="known">
          {describeDifference(
            compared.differences.value,
            tensor.id,
            steps[0],
            visibleName(selectedRun),
          )}
        </p>
      )}
      {answer?.columns && <ExactNumbers answer={answer} columns={answer.columns} />}
    </div>
  );
}

/** The exact step at which it began, where the cell covers several. */
function FirstStep({ tensor, steps }: Pick<HoveredCell, "tensor" | "steps">) {
  const first = tensor.first_nonfinite_step;
  const [from, to] = steps;
  if (first === null || from === to || first < from || first > to) return null;
  return <p class="known">First NaN or Inf at step {formatCount(first)}</p>;
}

/** Beside the pointer, on the side where there is room. */
function placeBeside(element: HTMLElement, { x, y }: HoveredCell): void {
  const { offsetWidth: width, offsetHeight: height } = element;
  const beside = (at: number, size: number, room: number) =>
    at + POINTER_DISTANCE + size > room ? at - POINTER_DISTANCE - size : at + POINTER_DISTANCE;
  const left = beside(x, width, window.innerWidth);
  const top = beside(y, height, window.innerHeight);
  element.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
}

interface ExactNumbersProps {
  answer: CellAnswer;
  columns: NonNullable<CellAnswer["columns"]>;
}

function ExactNumbers({ answer, columns }: ExactNumbersProps) {
  const count = (name: keyof typeof columns) => formatCount(numberFromWire(columns[name]));
  const norm = numberFromWire(columns.largest_norm);
  const window =
    answer.first_step !== null && answer.last_step !== null
      ? formatSteps(answer.first_step, answer.last_step)
      : "–";
  const numbers = [
    ["NaN", count("nan")],
    ["+Inf", count("pos_inf")],
    ["−Inf", count("neg_inf")],
    ["Elements", count("elements")],
    ["L2 norm", Number.isNaN(norm) ? "–" : formatNumber(norm)],
    ["Window", window],
  ] as const;
  return (
    <dl class="exact">
      {numbers.map(([label, text]) => (
        <>
          <dt>{label}</dt>
          <dd>{text}</dd>
        </>
      ))}
    </dl>
  );
}

/** The exact numbers of the cell, once the pointer has come to rest on it. */
function useExactCell(
  cells: CellCache,
  run: string,
  { tensor, steps }: HoveredCell,
): CellAnswer | undefined {
  const [first, last] = steps;
  const query = { run, tensor: tensor.id, first, last };
  const [, setArrivals] = useState(0);
  useEffect(() => {
    if (cells.peek(query)) return undefined;
    const controller = new AbortController();
    const arrived = () => setArrivals((arrivals) => arrivals + 1);
    // What the grid knows is shown anyway; an error is shown where a cell is selected.
    const failed = () => undefined;
    const timer = setTimeout(
      () => cells.get(query, controller.signal).then(arrived, failed),
      REST_MS,
    );
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [run, tensor.id, first, last, cells]);
  return cells.peek(query);
}
