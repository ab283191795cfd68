/** Everything that the command palette can do in the present state. */

import type { Command } from "../model/commands";
import { plainText } from "../model/findings";
import { tensorTitle, visibleName } from "../model/names";
import { PANEL_TABS } from "../model/panel";
import { runsByTrouble } from "../model/runs";
import { AXES } from "../model/scale";
import { STATISTICS } from "../wire/schema";
import type { Session } from "./session";

export function commandsOf(session: Session): Command[] {
  return [...findings(session), ...actions(session), ...runs(session), ...tensors(session)];
}

function findings(session: Session): Command[] {
  const found = session.findings.value.value?.findings ?? [];
  return found.map(({ headline }, index) => ({
    kind: "Finding",
    text: plainText(headline),
    run: () => session.chooseFinding(index),
  }));
}

function actions(session: Session): Command[] {
  const { rows, grids, viewport } = session;
  const action = (text: string, run: () => void): Command => ({ kind: "Action", text, run });
  return [
    ...(session.origin.value
      ? [action("Jump to where it began", () => session.jumpToOrigin())]
      : []),
    ...PANEL_TABS.map(({ name, label }) =>
      action(`Show panel: ${label}`, () => {
        session.chosenTab.value = name;
      }),
    ),
    ...STATISTICS.map(({ name, label }) =>
      action(`Color by ${label}`, () => {
        grids.statistic.value = name;
      }),
    ),
    ...AXES.filter(({ name }) => name !== "wall" || session.detail.value.value?.times).map(
      ({ name, label }) =>
        action(`X axis: ${label}`, () => {
          session.axis.value = name;
        }),
    ),
    action("Reset zoom", () => viewport.reset()),
    action("Only affected tensors, or all", () => {
      rows.onlyAffected.value = !rows.onlyAffected.value;
    }),
    action("Show all rows", () => rows.showAll()),
    action("Loss and gradient curves, on or off", () => {
      session.curvesShown.value = !session.curvesShown.value;
    }),
    action("Reload data", () => session.reload()),
    action("Mouse and keyboard", () => session.openHelp()),
  ];
}

function runs(session: Session): Command[] {
  const others = runsByTrouble(session.runs.value.value ?? []).filter(
    ({ run }) => run !== session.run.value,
  );
  const compared = new Set(session.comparisons.names.value);
  return others.flatMap(({ run, status }): Command[] => [
    { kind: "Run", text: visibleName(run), run: () => session.selectRun(run) },
    ...(status === "empty" || compared.has(run)
      ? []
      : [
          {
            kind: "Run" as const,
            text: `compare with ${visibleName(run)}`,
            run: () => session.addCompared(run),
          },
        ]),
  ]);
}

function tensors(session: Session): Command[] {
  const all = session.detail.value.value?.tensors ?? [];
  return all.map((tensor) => ({
    kind: "Tensor",
    text: tensorTitle(tensor) + (tensor.worker ? ` on ${visibleName(tensor.worker)}` : ""),
    run: () => session.showTensor(tensor),
  }));
}
