/** What the command palette offers, and which of it a text finds. */

export interface Command {
  kind: "Finding" | "Action" | "Run" | "Tensor";
  text: string;
  run: () => void;
}

const MOST_SHOWN = 50;

/** The commands in which every word of a text occurs, the best first; of no text the first ones. */
export function matchingCommands(commands: readonly Command[], text: string): Command[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return commands.slice(0, MOST_SHOWN);
  const ranked = commands.flatMap((command, index) => {
    const rank = rankOf(`${command.kind} ${command.text}`.toLowerCase(), words);
    return rank === undefined ? [] : [{ command, rank, index }];
  });
  ranked.sort((a, b) => a.rank - b.rank || a.index - b.index);
  return ranked.slice(0, MOST_SHOWN).map(({ command }) => command);
}

/** Lower for words that begin where a part of the text does; undefined where one is missing. */
function rankOf(text: string, words: readonly string[]): number | undefined {
  let rank = text.length / 1000;
  for (const word of words) {
    const at = text.indexOf(word);
    if (at < 0) return undefined;
    const begins = at === 0 || /[^a-z0-9]/.test(text[at - 1] as string);
    rank += begins ? 0 : 1;
  }
  return rank;
}
