/** How fresh the data of a run that is being written is, or how old those of a page are. */

import { useEffect, useState } from "preact/hooks";
import { formatDuration } from "../model/numbers";

/** Without news for so long a run is not called live. */
const LIVE_MS = 120_000;

interface FreshnessProps {
  /** When the run was last seen to grow, by the page's clock. */
  updatedAt: number | null;
  /** When the page was written that has the data inside; undefined where a server has them. */
  writtenAt: string | undefined;
}

export function Freshness({ updatedAt, writtenAt }: FreshnessProps) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (updatedAt === null) return undefined;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [updatedAt]);
  if (writtenAt !== undefined) return <p class="freshness">as of {writtenAt}</p>;
  if (updatedAt === null) return null;
  const age = Math.max(0, now - updatedAt);
  if (age > LIVE_MS) return null;
  return (
    <p class="freshness">
      updated {formatDuration(Math.round(age / 1000))} ago · <b>live</b>
    </p>
  );
}
