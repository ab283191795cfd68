/** What is shown while data is loading, and where loading it failed. */

export function Loading({ text }: { text: string }) {
  return (
    <p class="loading" role="status">
      {text}
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

/** What was loaded before is still shown, but may be out of date. */
export function Stale({ message, onRetry }: Omit<FailureProps, "what">) {
  return (
    <div class="stale" role="alert">
      <p>
        <b>This view may be out of date.</b> <span class="server-message">{message}</span>
      </p>
      <button type="button" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}
