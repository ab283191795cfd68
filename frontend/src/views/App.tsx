/** The whole tab. The one module that knows the session: it passes each view what it shows. */

import { useRef } from "preact/hooks";
import type { ExportImage } from "../draw/export_image";
import { issueText } from "../model/issue";
import type { PanelTab } from "../model/panel";
import { missingDataTexts } from "../model/runs";
import { commandsOf } from "../state/commands";
import type { Session } from "../state/session";
import type { RunDetail, RunSummary } from "../wire/answers";
import { isEmbedded, writtenAt } from "../wire/embedded";
import { Comparison } from "./Comparison";
import { Details } from "./details/Details";
import { Freshness } from "./Freshness";
import { Help } from "./Help";
import { Hint } from "./Hint";
import { Export } from "./heatmap/Export";
import { Heatmap } from "./heatmap/Heatmap";
import { LayersPanel } from "./LayersPanel";
import { Legend } from "./Legend";
import { NoData } from "./NoData";
import { Failure, Loading, Stale } from "./notices";
import { Palette } from "./Palette";
import { Panel } from "./Panel";
import { RowsBar } from "./RowsBar";
import { RunList } from "./RunList";
import { Toolbar } from "./Toolbar";
import { Verdict } from "./verdict/Verdict";
import { WhyPanel } from "./verdict/WhyPanel";

export function App({ session }: { session: Session }) {
  const runs = session.runs.value.value;
  if (!runs) {
    const error = session.runs.error.value;
    return (
      <main class="alone">
        {error ? (
          <Failure what="The list of runs" message={error} onRetry={() => session.reload()} />
        ) : (
          <Loading text="Loading runs…" />
        )}
      </main>
    );
  }
  if (runs.length === 0) {
    return (
      <main class="alone">
        <NoData where={session.logDirectory.value.value} onReload={() => session.reload()} />
      </main>
    );
  }
  // A page of one run, often a narrow frame of a notebook, will never have another.
  const isAlone = isEmbedded() && runs.length === 1;
  return (
    <div class={isAlone ? "tab of-one-run" : "tab"}>
      {!isAlone && (
        <RunList
          runs={runs}
          selected={session.run.value}
          compared={session.comparisons.names.value}
          filter={session.runFilter}
          order={session.runOrder}
          width={session.preferences.runsWidth}
          onSelect={(run) => session.selectRun(run)}
          onCompare={(run) => session.addCompared(run)}
        />
      )}
      <main class="run">
        <SelectedRun session={session} summary={session.runs.find(session.run.value)} />
      </main>
      <Help shown={session.helpShown} />
      <Palette shown={session.paletteShown} commandsOf={() => commandsOf(session)} />
    </div>
  );
}

interface SelectedRunProps {
  session: Session;
  summary: RunSummary | undefined;
}

function SelectedRun({ session, summary }: SelectedRunProps) {
  const exportImage = useRef<(() => ExportImage) | null>(null);
  const detail = session.detail.value.value;
  const error = session.detail.error.value;
  if (!detail) {
    if (error) return <Failure what="This run" message={error} onRetry={() => session.reload()} />;
    return <Loading text="Loading run…" />;
  }
  const verdict = <RunVerdict session={session} detail={detail} summary={summary} />;
  if (detail.tensors.length === 0 || detail.first_step === null) {
    return (
      <>
        {verdict}
        <NoData where={detail.run} onReload={() => session.reload()} />
      </>
    );
  }
  const compared = session.comparisons.runs.value;
  return (
    <>
      <OutOfDate session={session} />
      {verdict}
      <Comparison
        compared={compared}
        showDifference={session.comparisons.showDifference}
        isTogether={session.comparisons.isTogether}
        tolerance={session.comparisons.tolerance}
        onGoTo={(difference) => session.goToPlace(difference)}
        onRemove={(run) => session.removeCompared(run)}
      />
      <RunToolbar session={session} detail={detail} exportImage={exportImage} />
      {session.grids.statistic.value === "instability" && (
        <Hint known={session.preferences.knowsHint} />
      )}
      <div class={fieldClass(session.panelTab.value, compared.length > 0)}>
        <RunHeatmap session={session} detail={detail} exportImage={exportImage} />
        <RunPanel session={session} detail={detail} />
      </div>
      <footer class="footer">
        <Legend
          grid={session.grids.overview.value.value}
          magnitude={session.grids.magnitude.value}
          theme={session.theme.value}
        />
      </footer>
    </>
  );
}

/** The table of layers is wider than what the other tabs show. */
function fieldClass(tab: PanelTab, isComparing: boolean): string {
  return `field ${tab === "layers" ? "wide-panel" : ""} ${isComparing ? "comparing" : ""}`;
}

interface RunProps {
  session: Session;
  detail: RunDetail;
}

interface ImageProps {
  /** What makes the image of the heatmap, once that is drawn. */
  exportImage: { current: (() => ExportImage) | null };
}

function RunVerdict({ session, detail, summary }: RunProps & SelectedRunProps) {
  return (
    <Verdict
      detail={detail}
      answer={session.findings.value.value}
      error={session.findings.error.value}
      knownHeadline={summary?.headline ?? ""}
      scaleSkippedSteps={summary?.scale_skipped_steps ?? 0}
      freshness={<Freshness updatedAt={session.growth.updatedAt.value} writtenAt={writtenAt()} />}
      onJump={(index) => session.jumpToFinding(index)}
      onShowWhy={() => {
        session.chosenTab.value = "why";
      }}
      onRetry={() => session.reload()}
    />
  );
}

function RunToolbar({ session, detail, exportImage }: RunProps & ImageProps) {
  const finding = session.findings.value.value?.findings[session.openFinding.value];
  return (
    <Toolbar
      statistic={session.grids.statistic}
      axis={session.axis}
      shownAxis={session.scale.value.name}
      hasTimes={detail.times !== null}
    >
      <RowsBar rows={session.rows} curvesShown={session.curvesShown} />
      <div class="toolbar-end">
        <Export
          run={detail.run}
          tensor={session.selectedTensor.value}
          range={session.viewport.range.value}
          image={() => exportImage.current?.()}
          addressOf={() => session.address()}
          issue={finding && issueText(finding, detail)}
          loadFinest={(range) => session.tensorDetail.finest(range)}
        />
        <button
          type="button"
          class="palette-button"
          title="Go to a run, tensor, finding or action"
          onClick={() => {
            session.paletteShown.value = true;
          }}
        >
          Go to… <kbd>Ctrl K</kbd>
        </button>
        <button
          type="button"
          class="help-button"
          title="Mouse and keyboard"
          aria-label="Mouse and keyboard"
          onClick={() => session.openHelp()}
        >
          ?
        </button>
      </div>
    </Toolbar>
  );
}

const NO_CURVES: never[] = [];

function RunHeatmap({ session, detail, exportImage }: RunProps & ImageProps) {
  const { grids, comparisons, tensorDetail } = session;
  const error = grids.error.value;
  if (error && grids.layers.value.length === 0) {
    return <Failure what="The heatmap" message={error} onRetry={() => session.reload()} />;
  }
  return (
    <Heatmap
      detail={detail}
      grids={grids}
      viewport={session.viewport}
      rows={session.rows}
      curves={session.curvesShown.value ? session.runCurves.value.value : NO_CURVES}
      compared={comparisons.runs.value}
      loadedRuns={session.loadedRuns.value}
      showDifference={comparisons.showDifference.value}
      isTogether={comparisons.isTogether.value}
      findings={session.findings.value.value?.findings ?? NO_FINDINGS}
      openFinding={session.openFinding.value}
      origin={session.origin.value}
      revealed={session.revealed.value}
      selection={session.selection.value}
      selectedSteps={session.selectedSteps.value}
      selectedRange={session.selectedRange.value}
      cells={tensorDetail.cells}
      theme={session.theme.value}
      actions={session}
      exportImage={exportImage}
    />
  );
}

const NO_FINDINGS: never[] = [];

function RunPanel({ session, detail }: RunProps) {
  return (
    <Panel
      tab={session.panelTab.value}
      onChoose={(tab) => {
        session.chosenTab.value = tab;
      }}
      why={
        <WhyPanel
          findings={session.findings.value.value?.findings ?? NO_FINDINGS}
          openFinding={session.openFinding.value}
          missing={missingDataTexts(detail)}
          onOpen={(index) => session.chooseFinding(index)}
          onGoTo={(place) => session.goToPlace(place)}
        />
      }
      details={<CellDetails session={session} detail={detail} />}
      layers={() => (
        <LayersPanel
          answer={session.layers.answer}
          order={session.layers.order}
          shown={session.rows.layer.value}
          onShow={(path) => session.showLayer(path)}
          onRetry={() => session.reload()}
        />
      )}
    />
  );
}

function CellDetails({ session, detail }: RunProps) {
  const tensor = session.selectedTensor.value;
  const steps = session.selectedSteps.value;
  const selection = session.selection.value;
  return (
    <Details
      run={detail.run}
      compared={session.comparisons.runs.value.map(({ run }) => run)}
      tensors={detail.tensors}
      norms={session.grids.norms.value}
      selected={tensor && steps && selection ? { tensor, steps, step: selection.step } : undefined}
      selectedRange={session.selectedRange.value}
      loaded={session.tensorDetail}
      viewport={session.viewport}
      theme={session.theme.value}
      actions={session}
    />
  );
}

/** A reload or a finer grid failed, and what was loaded before is still shown. */
function OutOfDate({ session }: { session: Session }) {
  const { runs, detail, grids } = session;
  const reloadError = runs.error.value ?? detail.error.value;
  const gridError = grids.layers.value.length > 0 ? grids.error.value : undefined;
  const error = reloadError ?? gridError;
  return error ? <Stale message={error} onRetry={() => session.reload()} /> : null;
}
