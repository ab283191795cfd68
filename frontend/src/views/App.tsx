/** The whole tab: the runs, and the chosen one's findings, heatmap and details. */

import type { Session } from "../state/session";
import { Comparison } from "./Comparison";
import { Details } from "./details/Details";
import { Help } from "./Help";
import { Heatmap } from "./heatmap/Heatmap";
import { NoData } from "./NoData";
import { Failure, Loading, Stale } from "./notices";
import { Runs } from "./RunList";
import { Toolbar } from "./Toolbar";
import { Findings } from "./verdict/Verdict";

export function App({ session }: { session: Session }) {
  const runs = session.runs.value.value;
  if (!runs) {
    const error = session.runs.error.value;
    return (
      <main class="alone">
        {error ? (
          <Failure what="The list of runs" message={error} onRetry={() => session.reload()} />
        ) : (
          <Loading what="Loading runs…" />
        )}
      </main>
    );
  }
  if (runs.length === 0) {
    return (
      <main class="alone">
        <NoData title="No data yet" onRetry={() => session.reload()} />
      </main>
    );
  }
  return (
    <div class="tab">
      <Runs session={session} runs={runs} />
      <main class="run">
        <ChosenRun session={session} />
      </main>
      <Help session={session} />
    </div>
  );
}

function ChosenRun({ session }: { session: Session }) {
  const detail = session.detail.value.value;
  const error = session.detail.error.value;
  if (!detail) {
    if (error) return <Failure what="This run" message={error} onRetry={() => session.reload()} />;
    return <Loading what="Loading run…" />;
  }
  if (detail.tensors.length === 0 || detail.status === "empty") {
    return (
      <>
        <Findings session={session} detail={detail} />
        <NoData title="No record in this run yet" onRetry={() => session.reload()} />
      </>
    );
  }
  return (
    <>
      <OutOfDate session={session} />
      <Findings session={session} detail={detail} />
      <Comparison session={session} />
      <Toolbar session={session} />
      <div class={`field ${session.compared.value.length > 0 ? "comparing" : ""}`}>
        <Heatmap session={session} detail={detail} />
        <Details session={session} />
      </div>
    </>
  );
}

/** A reload or a closer look failed, and what was known before is still shown. */
function OutOfDate({ session }: { session: Session }) {
  const { runs, detail, grids } = session;
  const error = runs.error.value ?? detail.error.value ?? grids.error.value;
  if (!error || (!runs.error.value && !detail.error.value && grids.layers.value.length === 0))
    return null;
  return <Stale message={error} onRetry={() => session.reload()} />;
}
