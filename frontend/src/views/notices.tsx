/** What stands where data will or should be: waiting, and what went wrong. */

export function Loading({ what }: { what: string }) {
  return (
    <p class="loading" role="status">
      {what}
    </p>
  );
}

interface FailureProps {
  what: string;
  /** The server's own sentence, shown as text. */
  message: string;
  onRetry: () => void;
}

export function Failure({ what, message, onRetry }: FailureProps) {
  return (
    <div class="failure" role="alert">
      <h2>{what} could not be loaded</h2>
      <p class="server-message">{message}</p>
      <button type="button" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}

/** What is known stays in sight, and that it is of before. */
export function Stale({ message, onRetry }: Omit<FailureProps, "what">) {
  return (
    <div class="stale" role="alert">
      <p>
        <b>What is shown may be out of date.</b> <span class="server-message">{message}</span>
      </p>
      <button type="button" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}
