import { setTimeout as sleep } from "node:timers/promises"
import { fill } from "../harness/load.ts"
import { Ledger, untilCounts } from "../harness/wait.ts"
import { both, type Row, type Sample, type Stage, versus } from "../row.ts"

/** What Redis needs for a job that waits, and for one that has completed and is kept. */
async function measure(stage: Stage, bytes: number): Promise<Sample> {
  const total = stage.size(50_000)
  const ledger = new Ledger(total)
  const session = await stage.open({ keep: 2 * total })
  // Scripts and connections are there before the first reading.
  const other = session.declare("other", { concurrency: 1, handle: async () => {} })
  const queue = session.declare("bench", { concurrency: 100, handle: async (data) => ledger.add(data) })
  await fill(other, 1)
  const empty = await quietBytes(stage)
  await fill(queue, total, bytes)
  await untilCounts(queue, { waiting: total })
  const waiting = await quietBytes(stage)
  await session.start()
  await ledger.complete()
  await untilCounts(queue, { waiting: 0, active: 0, completed: total })
  const kept = await quietBytes(stage)
  return { waiting: (waiting - empty) / total, kept: (kept - empty) / total }
}

/** Once the buffers of connections have shrunk again. */
async function quietBytes({ meter, quick }: Stage): Promise<number> {
  await sleep(quick ? 50 : 2_500)
  return (await meter.spent()).bytes
}

function row(bytes: number, targets: readonly [number, number] | undefined): Row {
  return {
    name: `memory-${bytes}b`,
    title: `Redis bytes per job, ${bytes} B payloads, 50,000 jobs`,
    entries: both,
    rounds: 2,
    measures: [
      { name: "waiting", unit: "B per waiting job", better: "less" },
      { name: "kept", unit: "B per kept job", better: "less" },
    ],
    compare: [
      versus("waiting", targets && { most: targets[0] }),
      versus("kept", targets && { most: targets[1] }),
    ],
    measure: (stage) => measure(stage, bytes),
  }
}

export const memory: readonly Row[] = [row(10, [0.85, 0.75]), row(100, undefined)]
