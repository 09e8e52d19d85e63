import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, onRedis, testApps, until } from "../support/hosts.ts"
import type { Program } from "../support/program.ts"
import { ListenerProcess } from "./listeners.ts"

onBothHosts("Multi-Instance Behavior", (host) => {
  const openApp = testApps()

  /** Three apps on the same data that work on one task, each with a record of what it ran and heard. */
  function threePods() {
    const first = host.adapter()
    return [first, host.sibling(first), host.sibling(first)].map((adapter) => {
      const app = openApp({ adapter })
      const ran: string[] = []
      const task = app.task("send-email", {
        concurrency: 3,
        handler: async (_, ctx) => {
          ran.push(ctx.id)
          await new Promise((resolve) => setImmediate(resolve))
        },
      })
      return { app, task, ran, heard: hearTask(task) }
    })
  }

  it('If 3 pods subscribe to task.on("completed"), all 3 will fire the handler for each completed job; only one pod claims each job', async () => {
    const pods = threePods()
    await Promise.all(pods.map(({ app }) => app.start()))
    const handles = pods[0]!.task.dispatchMany(Array.from({ length: 300 }, (_, i) => ({ data: i })))
    const ids = await Promise.all(handles)
    for (const { heard } of pods) await heard.until("completed", 300)

    expect(pods.flatMap(({ ran }) => ran).sort()).toEqual([...ids].sort())
    for (const { heard } of pods) {
      expect(
        heard
          .of("completed")
          .map(({ id }) => id)
          .sort(),
      ).toEqual([...ids].sort())
      expect(heard.all.map(({ meta }) => meta.seq)).toEqual(Array.from({ length: 600 }, (_, i) => i + 1))
    }
  })

  it("If you need exactly-once event processing, use the job queue itself (dispatch a new task from the event handler with deduplication)", async () => {
    const pods = threePods()
    const followedUp: unknown[] = []
    for (const { app, task } of pods) {
      const followUp = app.task("follow-up", async (id) => followedUp.push(id))
      task.on("completed", ({ id }) => followUp.dispatch(id, { jobId: `follow-${id}` }))
    }
    await Promise.all(pods.map(({ app }) => app.start()))
    const handles = pods[0]!.task.dispatchMany(Array.from({ length: 30 }, (_, i) => ({ data: i })))
    const ids = await Promise.all(handles)
    for (const { heard } of pods) await heard.until("completed", 30)
    await until(() => followedUp.length >= 30, "all were followed up")
    await Promise.all(pods.map(({ app }) => app.close()))
    expect(followedUp.sort()).toEqual([...ids].sort())
  })
})

onRedis("Multi-Instance Behavior over three processes", (host) => {
  const openApp = testApps()
  const pods: ListenerProcess[] = []
  let program: Program

  beforeAll(async () => {
    program = await ListenerProcess.build()
  })
  afterEach(async () => {
    await Promise.all(pods.splice(0).map((pod) => pod.kill()))
  })
  afterAll(() => program.remove())

  describe("three processes that work and listen", () => {
    it("Events: all pods receive all events (fan-out), each once, in order; Job processing: only one pod claims each job", async () => {
      const adapter = host.adapter()
      const config = { url: host.url()!, prefix: adapter.prefix, task: "send-email", concurrency: 5 }
      pods.push(...(await Promise.all([1, 2, 3].map(() => ListenerProcess.start(program, config)))))
      const task = openApp({ adapter }).task("send-email")
      const batches = Array.from({ length: 10 }, () =>
        task.dispatchMany(Array.from({ length: 60 }, (_, i) => ({ data: i }))),
      )
      const ids = (await Promise.all(batches.flat())).sort()
      await Promise.all(pods.map((pod) => pod.heard(1200)))
      const reports = await Promise.all(pods.map((pod) => pod.report()))

      expect(reports.flatMap(({ ran }) => ran).sort()).toEqual(ids)
      for (const { heard, errors } of reports) {
        expect(errors).toEqual([])
        expect(heard.map(([, , seq]) => seq)).toEqual(Array.from({ length: 1200 }, (_, i) => i + 1))
        for (const name of ["active", "completed"]) {
          const told = heard.filter(([event]) => event === name)
          expect(told.map(([, id]) => id).sort()).toEqual(ids)
        }
      }
    })
  })
})
