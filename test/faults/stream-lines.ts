/** Reads the streams' entries anew, apart from the engine's own reader: what both take for right is right twice. */

/** One line of an entry: a transition, or a failure with its retry (two). */
export interface Line {
  /** a active, p progress, c completed, f failed, s stalled, x cancelled; others as they stand. */
  readonly kind: string
  readonly task: string
  readonly id: string
  /** Of its first transition. */
  readonly seq: number
  /** How many transitions it stands for. */
  readonly span: number
  /** When it was written, server time, ms. */
  readonly at: number
  readonly entry: string
  readonly instance: string
  /** Of a, c and f. */
  readonly attempt?: number
  /** When the run that ended was claimed, server time, ms; of c and f. */
  readonly claimed?: number
  /** Number of the next attempt; of an f that is retried. */
  readonly next?: number
  /** Of s. */
  readonly count?: number
  readonly action?: string
  /** Result (with `=`), error, progress or reason, as stored. */
  readonly text?: string
}

/** @throws where an entry is none */
export function linesOf(task: string, entry: string, text: string): Line[] {
  const [head, ...rest] = text.split("\n")
  const parts = /^(\d+),(.+)$/.exec(head ?? "")
  if (!parts || rest.length === 0) throw new Error(`entry ${entry} of ${task} cannot be read: ${text}`)
  let seq = Number(parts[1])
  const at = Number(entry.split("-")[0])
  return rest.map((line) => {
    const fields = line.slice(1).split("\t")
    const kind = line[0] ?? ""
    const common = { kind, task, id: fields[0]!, seq, span: 1, at, entry, instance: parts[2]! }
    const read = detailsOf(kind, fields)
    const whole = { ...common, ...read }
    seq += whole.span
    return whole
  })
}

function detailsOf(kind: string, fields: readonly string[]): Partial<Line> {
  const after = (count: number) => fields.slice(count).join("\t")
  switch (kind) {
    case "a":
      return { attempt: Number(fields[1]) }
    case "p":
      return { text: after(1) }
    case "c": {
      const [attempt, claimed] = fields[1]!.split(",").map(Number)
      return { attempt: attempt!, claimed: claimed!, text: after(3) }
    }
    case "f": {
      const run = { attempt: Number(fields[1]), claimed: Number(fields[2]), text: after(4) }
      return fields[3] === "" ? run : { ...run, next: Number(fields[3]), span: 2 }
    }
    case "s":
      return { count: Number(fields[1]), action: fields[2]! }
    case "x":
      return { text: after(1) }
    default:
      return { text: after(1) }
  }
}

export function isTerminal({ kind, next }: Line): boolean {
  return kind === "c" || kind === "x" || (kind === "f" && next === undefined)
}

/** What listeners hear of a line: name and number. */
export function toldBy(line: Line): { readonly name: string; readonly seq: number }[] {
  const name = names[line.kind] ?? line.kind
  const own = [{ name, seq: line.seq }]
  return line.span === 2 ? [...own, { name: "retrying", seq: line.seq + 1 }] : own
}

const names: Readonly<Record<string, string>> = {
  a: "active",
  p: "progress",
  c: "completed",
  f: "failed",
  s: "stalled",
  x: "cancelled",
}
