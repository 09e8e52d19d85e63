import { expect, it } from "vitest"
import { prometheus } from "../../exporters/prometheus.ts"
import type { Observer, Transition } from "../../src/index.ts"
import { parseExposition } from "../support/exposition.ts"
import { onBothHosts, until } from "../support/hosts.ts"
import { graveyards } from "./graveyard.ts"

onBothHosts("telemetry of dead letters", (host) => {
  const graveyard = graveyards(host)

  it("counts jobs.revived and cluster.transitions{revived}; at rest, dispatched + revived = ended + there", async () => {
    const metrics = prometheus({ port: false })
    const yard = graveyard({ observers: [metrics] })
    const work = yard.task("work")
    await yard.app.start()
    await yard.bury(work, [{ fail: "a" }, { fail: "b" }, { fail: "c" }])
    await work.dispatch({}).result
    await work.dispatch({}, { delay: "1h" })
    await yard.app.deadLetters.retryAll()
    await until(async () => (await yard.app.inspect().stats()).transitions.failed === 6, "all failed again")
    const families = parseExposition((await metrics.render()).body, "text")
    const value = (name: string, ...labels: string[]) =>
      families
        .get(name)!
        .samples.filter((sample) => labels.every((label) => Object.values(sample.labels).includes(label)))
        .reduce((sum, sample) => sum + sample.value, 0)
    expect(value("taskora_jobs_revived_total", "work")).toBe(3)
    expect(value("taskora_jobs_dispatched_total")).toBe(5)
    expect(value("taskora_jobs_dispatched_total") + value("taskora_jobs_revived_total")).toBe(
      value("taskora_jobs_completed_total") +
        value("taskora_jobs_failed_total") +
        value("taskora_jobs_cancelled_total") +
        value("taskora_queue_jobs"),
    )
    expect(value("taskora_cluster_transitions_total", "revived")).toBe(3)
    // A new life is timed from its beginning, and counts its own attempts.
    const attempts = families.get("taskora_job_attempts")!.samples
    expect(
      attempts.find(({ name, labels }) => name.endsWith("_count") && labels.outcome === "failed"),
    ).toMatchObject({
      value: 6,
    })
  })

  it("tells the one process that retried, batch by batch, with what leads to the old traces", async () => {
    const told: Extract<Transition, { kind: "revived" }>[] = []
    const watch: Observer = {
      name: "watch",
      dispatching: () => ({ traceparent: `00-${"d".repeat(32)}-${"1".repeat(16)}-01` }),
      attempt(attempt, run) {
        attempt.trace = { traceId: "e".repeat(32), spanId: "2".repeat(16), sampled: true }
        return run()
      },
      transition(transition) {
        if (transition.kind === "revived") told.push(transition)
      },
    }
    const yard = graveyard({ observers: [watch] })
    const work = yard.task("work")
    await yard.app.start()
    await yard.bury(work, [{ id: "a", fail: "no" }])
    await yard.bury(work, [{ id: "b", fail: "no" }])
    yard.healed = true
    await yard.app.deadLetters.retryAll()
    const headers = { traceparent: `00-${"d".repeat(32)}-${"1".repeat(16)}-01` }
    const previousRun = `00-${"e".repeat(32)}-${"2".repeat(16)}-01`
    expect(told).toEqual([
      {
        kind: "revived",
        task: "work",
        jobs: [
          { id: "a", headers, previousRun },
          { id: "b", headers, previousRun },
        ],
      },
    ])
    await yard.app.deadLetters.retry("a")
    expect(told).toHaveLength(1)
  })

  it("links the first run of the new life to the last one of the old, and counts its delay as none", async () => {
    const runs: {
      attempt: number
      previousRun?: string
      delayMs: number
      lifeStart: number
      createdAt: number
    }[] = []
    const watch: Observer = {
      name: "watch",
      attempt(attempt, run) {
        runs.push(attempt)
        attempt.trace = { traceId: "e".repeat(32), spanId: `${runs.length}`.repeat(16), sampled: true }
        return run()
      },
    }
    const yard = graveyard({ observers: [watch] })
    const work = yard.task("work", { retry: { attempts: 2, delay: 0 } })
    await yard.app.start()
    await yard.bury(work, [{ id: "a", fail: "no" }])
    await new Promise((resolve) => setTimeout(resolve, 5))
    yard.healed = true
    await yard.app.deadLetters.retry("a")
    await until(() => runs.length === 3, "it ran again")
    expect(runs[2]).toMatchObject({
      attempt: 1,
      delayMs: 0,
      previousRun: `00-${"e".repeat(32)}-${"2".repeat(16)}-01`,
    })
    expect(runs[2]!.lifeStart).toBeGreaterThan(runs[2]!.createdAt)
    await until(async () => (await yard.app.inspect().find("a"))?.state === "completed", "it completed")
    expect((await yard.app.inspect().find("a"))!.trace.attempts).toEqual(["e".repeat(32)])
  })
})
