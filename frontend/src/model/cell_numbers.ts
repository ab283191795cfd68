/** The numbers of a cell as labeled lines, in groups. */

import { type CellAnswer, numberFromWire, type WireNumber } from "../wire/answers";
import { COLUMNS, type ColumnName, STATISTICS, type StatisticName } from "../wire/schema";
import { formatCount, formatGridValue, formatNumber } from "./numbers";

export interface CellNumber {
  label: string;
  text: string;
  /** One short sentence, for a tooltip. */
  description: string;
  /** It counts NaN or Inf. */
  alarming: boolean;
}

export interface NumberGroup {
  title: string;
  numbers: CellNumber[];
}

const LABELS: Record<ColumnName, string> = {
  steps: "Steps",
  elements: "Elements",
  nan: "NaN",
  pos_inf: "+Inf",
  neg_inf: "−Inf",
  nonfinite_steps: "Steps with NaN or Inf",
  scale_skipped_steps: "Steps skipped by loss scaling",
  first_nonfinite_step: "First step with NaN or Inf",
  last_nonfinite_step: "Last step with NaN or Inf",
  sum_squares: "Sum of squares",
  largest_norm: "Largest L2 norm",
  sampled_steps: "Steps with a histogram",
  sampled_elements: "Elements in them",
  sampled_finite: "Finite elements in them",
  zero: "Zeros",
  subnormal: "Subnormals",
  min: "Min",
  max: "Max",
  sum: "Sum",
};

const ALARMING: readonly ColumnName[] = ["nan", "pos_inf", "neg_inf", "nonfinite_steps"];

type Columns = NonNullable<CellAnswer["columns"]>;

/** Every column and every derived statistic, once. */
export function numberGroups(answer: CellAnswer, columns: Columns): NumberGroup[] {
  const numbers = (...names: ColumnName[]) =>
    names.map((name) => columnNumber(name, columns[name]));
  return [
    {
      title: "NaN and Inf",
      numbers: [
        ...numbers("nan", "pos_inf", "neg_inf"),
        statisticNumber("nonfinite", "NaN or Inf", answer),
        ...numbers("nonfinite_steps", "first_nonfinite_step", "last_nonfinite_step"),
        ...numbers("scale_skipped_steps", "steps", "elements"),
      ],
    },
    {
      title: "Magnitude",
      numbers: [
        ...numbers("largest_norm"),
        derivedNumber(
          "Usual L2 norm",
          answer.usual_norm,
          "The tensor's own level: the median of its norms, before any trouble.",
        ),
        derivedNumber(
          "RMS",
          answer.rms,
          "Root mean square of the finite elements, over all steps.",
        ),
        ...numbers("sum_squares"),
        derivedNumber("Max abs", answer.largest_magnitude, describedStatistic("largest_magnitude")),
        statisticNumber("headroom", "Headroom", answer),
        statisticNumber("update_ratio", "Update / weight", answer),
        ...numbers("min", "max"),
        derivedNumber(
          "Mean",
          answer.mean,
          "Mean of the finite elements in the steps with a histogram.",
        ),
        ...numbers("sum"),
      ],
    },
    {
      title: "Zeros and histogram",
      numbers: [
        ...numbers("zero"),
        statisticNumber("zero_share", "% zeros", answer),
        ...numbers("subnormal", "sampled_finite", "sampled_elements", "sampled_steps"),
        ...sampledStepNumber(answer),
      ],
    },
  ];
}

function columnNumber(name: ColumnName, value: WireNumber): CellNumber {
  const column = COLUMNS.find((candidate) => candidate.name === name);
  const number = numberFromWire(value);
  const isCount =
    column?.unit === "elements" || column?.unit === "steps" || column?.unit === "step";
  return {
    label: LABELS[name],
    text: isAbsent(value) ? "–" : isCount ? formatCount(number) : formatNumber(number),
    description: column?.description ?? "",
    alarming: ALARMING.includes(name) && number > 0,
  };
}

function statisticNumber(
  name: StatisticName,
  label: string,
  { statistics }: CellAnswer,
): CellNumber {
  const value = statistics?.[name];
  const number = numberFromWire(value);
  const scale = STATISTICS.find((candidate) => candidate.name === name)?.scale;
  const text = scale ? formatGridValue(number, scale) : formatCount(number);
  return {
    label,
    text: isAbsent(value) ? "–" : text,
    description: describedStatistic(name),
    alarming: name === "nonfinite" && number > 0,
  };
}

function derivedNumber(label: string, value: WireNumber, description: string): CellNumber {
  const text = isAbsent(value) ? "–" : formatNumber(numberFromWire(value));
  return { label, text, description, alarming: false };
}

function sampledStepNumber({ sampled_step }: CellAnswer): CellNumber[] {
  if (sampled_step === null) return [];
  const description = "The last step with a histogram.";
  return [{ label: "Last of them", text: formatCount(sampled_step), description, alarming: false }];
}

function describedStatistic(name: StatisticName): string {
  return STATISTICS.find((candidate) => candidate.name === name)?.description ?? "";
}

/** A column is NaN where nothing was seen: a step or a minimum that does not exist. */
function isAbsent(value: WireNumber | undefined): boolean {
  return value === null || value === undefined || value === "NaN";
}
