/** What this browser keeps for the reader. A frame may be forbidden to keep anything: then nothing is. */

const PREFIX = "nanwatch.";

export function readStored(key: string): string | null {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

export function store(key: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // Forbidden, or full.
  }
}
