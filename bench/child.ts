import type { Session } from "./contestants/contestant.ts"
import { findContestant } from "./contestants/find.ts"
import { Meter } from "./harness/meter.ts"
import { profiled } from "./harness/profile.ts"
import { type Message, type Order, type Question, startHelper } from "./harness/spawn.ts"
import { startTelemetry } from "./harness/telemetry.ts"
import type { Helper, Role, Stage } from "./row.ts"
import { rows } from "./rows.ts"

const quickShare = 0.1

/** One entry of one row, or a role of it, in this process. */
async function perform(order: Order): Promise<void> {
  const row = rows.find(({ name }) => name === order.row)
  const entry = row?.entries[order.entry]
  if (!row || !entry) throw new Error(`there is no entry ${order.entry} of a row ${order.row}`)
  const sessions: Session[] = []
  const helpers: Helper[] = []
  const telemetry = startTelemetry(entry.mode ?? "off", entry.contestant)
  const contestant = await findContestant(entry.contestant)
  const meter = await Meter.open(order.url)
  const stage: Stage = {
    entry,
    url: order.url,
    meter,
    quick: order.quick,
    size: (full) => (order.quick ? Math.ceil(full * quickShare) : full),
    async open(setting = {}) {
      const session = await contestant.open({
        url: order.url,
        mode: entry.mode ?? "off",
        keep: 100,
        ...setting,
      })
      sessions.push(session)
      return session
    },
    async helper(role) {
      const helper = await startHelper({ ...order, role })
      helpers.push(helper)
      return helper
    },
    spans: (operation) => telemetry.spans(operation),
  }
  if (order.role === undefined) {
    const { profile } = order
    const sample = await (profile === undefined
      ? row.measure(stage)
      : profiled(profile, () => row.measure(stage)))
    for (const helper of helpers) await helper.end()
    tell({ kind: "sample", sample })
  } else {
    await answerQuestions(await row.roles![order.role]!(stage))
  }
  for (const session of sessions) await session.close()
  await telemetry.close()
  await meter.close()
  process.disconnect()
}

/** Until the measuring process wants no more of this one. */
function answerQuestions(role: Role): Promise<void> {
  return new Promise((resolve, reject) => {
    process.on("message", (message: Question) => {
      if (message === "end") return resolve()
      const { number, question } = message
      Promise.resolve(role[question]!()).then((value) => tell({ kind: "answer", number, value }), reject)
    })
    process.once("disconnect", resolve)
    tell({ kind: "ready" })
  })
}

function tell(message: Message): void {
  process.send!(message)
}

await perform(JSON.parse(process.argv[2]!) as Order)
