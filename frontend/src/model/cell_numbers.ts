/** The numbers of a cell as labeled lines, grouped by what they tell. */

import { type CellAnswer, numberFromWire, type WireNumber } from "../wire/answers";
import { COLUMNS, type ColumnName, STATISTICS, type StatisticName } from "../wire/schema";
import { formatCount, formatNumber, formatPercent } from "./numbers";

export interface CellNumber {
  label: string;
  text: string;
  /** One short sentence. */
  meaning: string;
  /** It counts something that should not be there. */
  alarming: boolean;
}

export interface NumberGroup {
  title: string;
  facts: CellNumber[];
}

const LABELS: Record<ColumnName, string> = {
  steps: "Steps",
  elements: "Elements",
  nan: "NaN",
  pos_inf: "+Inf",
  neg_inf: "−Inf",
  nonfinite_steps: "Non-finite steps",
  scale_skipped_steps: "Skipped by loss scaling",
  first_nonfinite_step: "First non-finite step",
  last_nonfinite_step: "Last non-finite step",
  sum_squares: "Sum of squares",
  largest_norm: "Largest norm",
  sampled_steps: "Sampled steps",
  sampled_elements: "Sampled elements",
  sampled_finite: "Sampled finite elements",
  zero: "Zeros",
  subnormal: "Subnormals",
  min: "Minimum",
  max: "Maximum",
  sum: "Sum",
};

const ALARMING: readonly ColumnName[] = ["nan", "pos_inf", "neg_inf", "nonfinite_steps"];

type Columns = NonNullable<CellAnswer["columns"]>;

/** Every column and every derived statistic, once. */
export function numberGroups(answer: CellAnswer, columns: Columns): NumberGroup[] {
  const facts = (...names: ColumnName[]) => names.map((name) => columnFact(name, columns[name]));
  return [
    {
      title: "Non-finite",
      facts: [
        ...facts("nan", "pos_inf", "neg_inf"),
        statisticFact("nonfinite", "Non-finite in all", answer),
        ...facts("nonfinite_steps", "first_nonfinite_step", "last_nonfinite_step"),
        ...facts("scale_skipped_steps", "steps", "elements"),
      ],
    },
    {
      title: "Magnitude",
      facts: [
        ...facts("largest_norm"),
        derived("Root mean square", answer.rms, "Of the finite elements, over every step."),
        ...facts("sum_squares"),
        derived(
          "Largest magnitude",
          answer.largest_magnitude,
          describedStatistic("largest_magnitude"),
        ),
        ...facts("min", "max"),
        derived("Mean", answer.mean, "Sampled: mean of the finite elements."),
        ...facts("sum"),
      ],
    },
    {
      title: "Zeros and sampling",
      facts: [
        ...facts("zero"),
        statisticFact("zero_share", "Zero share", answer),
        ...facts("subnormal", "sampled_finite", "sampled_elements", "sampled_steps"),
        ...sampledStep(answer),
      ],
    },
  ];
}

function columnFact(name: ColumnName, value: WireNumber): CellNumber {
  const column = COLUMNS.find((candidate) => candidate.name === name);
  const number = numberFromWire(value);
  const counts = column?.unit === "elements" || column?.unit === "steps" || column?.unit === "step";
  return {
    label: LABELS[name],
    text: absent(value) ? "–" : counts ? formatCount(number) : formatNumber(number),
    meaning: column?.description ?? "",
    alarming: ALARMING.includes(name) && number > 0,
  };
}

function statisticFact(name: StatisticName, label: string, { statistics }: CellAnswer): CellNumber {
  const value = statistics?.[name];
  const number = numberFromWire(value);
  const scale = STATISTICS.find((candidate) => candidate.name === name)?.scale;
  const text = scale === "share" ? formatPercent(number) : formatCount(number);
  const alarming = name === "nonfinite" && number > 0;
  return { label, text: absent(value) ? "–" : text, meaning: describedStatistic(name), alarming };
}

function derived(label: string, value: WireNumber, meaning: string): CellNumber {
  const text = absent(value) ? "–" : formatNumber(numberFromWire(value));
  return { label, text, meaning, alarming: false };
}

function sampledStep({ sampled_step }: CellAnswer): CellNumber[] {
  if (sampled_step === null) return [];
  const meaning = "Last step that the sampled numbers cover.";
  return [{ label: "Sampled step", text: formatCount(sampled_step), meaning, alarming: false }];
}

function describedStatistic(name: StatisticName): string {
  return STATISTICS.find((candidate) => candidate.name === name)?.description ?? "";
}

/** Columns say by NaN that nothing was seen: a step or a minimum that does not exist. */
function absent(value: WireNumber | undefined): boolean {
  return value === null || value === undefined || value === "NaN";
}
