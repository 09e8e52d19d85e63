import { parseArgs } from "node:util"

export interface Options {
  readonly rounds: number
  /** Names of rows, or what they begin with; all where it is empty. */
  readonly only: readonly string[]
  readonly quick: boolean
  /** Taskora's entries alone. */
  readonly alone: boolean
  readonly json: string | undefined
  readonly list: boolean
}

export const usage = `npm run bench -- [options]          measures Taskora beside BullMQ
npm run bench -- costs [options]    shows what each script costs in Redis, and the client's hot functions

  --rounds N      runs of each entry, 5 by default
  --only NAME     a row, or what its name begins with; may be given again
  --quick         a tenth of the jobs in one round: shows that it works, measures nothing
  --alone         Taskora without BullMQ
  --json FILE     writes everything that was measured
  --list          names the rows`

/** @throws Error that names what is wrong */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string" },
      only: { type: "string", multiple: true, default: [] },
      quick: { type: "boolean", default: false },
      alone: { type: "boolean", default: false },
      json: { type: "string" },
      list: { type: "boolean", default: false },
    },
  })
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds is ${values.rounds}; give 1 or more`)
  const { only, quick, alone, json, list } = values
  return { rounds, only, quick, alone, json, list }
}
