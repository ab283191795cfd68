/** Icons of a run's status and a finding's severity. Their shapes differ, not only their colors. */

import type { RunStatus, Severity } from "../wire/schema";

export function statusLabel(status: RunStatus): string {
  return {
    nonfinite: "error",
    unstable: "warning",
    healthy: "healthy",
    empty: "no data",
    pending: "not diagnosed yet",
  }[status];
}

/** A cross, a bar in a triangle, a tick, three dots or an empty ring. */
export function StatusIcon({ status }: { status: RunStatus }) {
  if (status === "unstable") return <SeverityIcon severity="warning" size={14} />;
  const shape = {
    nonfinite: <path d="M4.5 4.5l5 5m0-5l-5 5" />,
    healthy: <path d="M3.8 7.3l2.3 2.3 4.2-4.6" />,
    pending: <path d="M4 7h.01M7 7h.01M10 7h.01" />,
    empty: null,
  }[status];
  return (
    <svg class={`status ${status}`} width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
      <circle cx="7" cy="7" r="6.25" />
      {shape}
    </svg>
  );
}

/** A cross in a disc, a bar in a triangle, a letter in a ring. */
export function SeverityIcon({ severity, size }: { severity: Severity; size: number }) {
  const shape = {
    error: (
      <>
        <circle cx="7" cy="7" r="6.25" />
        <path d="M4.5 4.5l5 5m0-5l-5 5" />
      </>
    ),
    warning: <path d="M7 1.2L13.2 12.6H.8zM7 5.4v3.2m0 2v.1" />,
    info: (
      <>
        <circle cx="7" cy="7" r="6.25" />
        <path d="M7 6.4v3.8M7 3.7v.1" />
      </>
    ),
  }[severity];
  return (
    <svg
      class={`status ${severity}`}
      width={size}
      height={size}
      viewBox="0 0 14 14"
      aria-hidden="true"
    >
      {shape}
    </svg>
  );
}
