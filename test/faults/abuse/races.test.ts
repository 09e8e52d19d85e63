import { describe, expect, test } from "vitest"
import type { Held } from "../../lua/calls.ts"
import { benchOf, type TaskBench } from "../../lua/harness.ts"
import { isTerminal } from "../../lua/ledger.ts"
import { onBothHosts } from "../../support/hosts.ts"

const acts = ["stall check", "finish", "fail", "cancel", "renew"] as const
type Act = (typeof acts)[number]

function orders<T>(of: readonly T[]): T[][] {
  if (of.length <= 1) return [[...of]]
  return of.flatMap((first, i) =>
    orders([...of.slice(0, i), ...of.slice(i + 1)]).map((rest) => [first, ...rest]),
  )
}

async function act(task: TaskBench, what: Act, held: Held): Promise<void> {
  const { calls } = task
  switch (what) {
    case "stall check":
      return void (await task.fresh(calls.upkeep(task.next("upkeep"))))
    case "finish":
      return void (await task.fresh(calls.settle(task.next("worker"), [{ ...held, kind: "completed" }])))
    case "fail":
      return void (await task.fresh(calls.settle(task.next("worker"), [{ ...held, kind: "failed" }])))
    case "cancel":
      return void (await task.fresh(calls.cancel(task.next("canceller"), held.id)))
    case "renew":
      return void (await task.fresh(calls.renew(task.next("renewer"), [held])))
  }
}

/**
 * What becomes of a job whose lease has run out. Whoever ends it first ends it; a cancel is a request as long as the job
 * runs, which the stall check, or whatever ends the run, carries out; a renewal takes the lease up again, and the stall
 * check then finds nothing.
 */
function foretold(order: readonly Act[]): string {
  let [leased, requested] = [false, false]
  for (const what of order) {
    if (what === "renew") leased = true
    if (what === "cancel") requested = true
    if (what === "finish") return requested ? "cancelled" : "completed"
    if (what === "fail") return requested ? "cancelled" : "failed"
    // A job that is back in its place is cancelled there, or runs again.
    if (what === "stall check" && !leased)
      return requested || order.includes("cancel") ? "cancelled" : "waiting"
  }
  return "unknown"
}

onBothHosts("a job whose lease has run out", (host) => {
  const bench = benchOf(host)

  describe("stall check, finish, fail, cancel and renew", () => {
    test.each(acts)(
      "in every order that begins with %s: one end, and the losers write nothing",
      async (first) => {
        const all = orders(acts).filter(([one]) => one === first)
        const tasks = all.map(() => bench.task())
        const held: Held[] = []
        for (const task of tasks) {
          await task.dispatch("subject")
          held.push((await task.claim(1, 1))[0]!)
        }
        await bench.pass(3)
        for (const [i, order] of all.entries()) {
          const task = tasks[i]!
          for (const what of order) await act(task, what, held[i]!)
          const state = await task.check()
          const ends = task.ledger.of("subject").filter(isTerminal)
          expect(
            ends.map(({ name }) => name),
            order.join(", "),
          ).toEqual([foretold(order)])
          expect([state.active.size, state.waiting.length], order.join(", ")).toEqual([0, 0])
        }
      },
    )
  })
})
