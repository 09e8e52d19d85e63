import { afterEach, expect, test, vi } from "vitest"
import { prometheus } from "../../exporters/prometheus.ts"
import type { Observer } from "../../src/index.ts"
import { untilAborted } from "../support/aborted.ts"
import { parseExposition, seriesValue } from "../support/exposition.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"

function fail(hook: string): never {
  throw new Error(`broken in ${hook}`)
}

/** Throws wherever it is called, in each of the ways in which a hook can be wrong. */
const throwers: Readonly<Record<string, Observer>> = {
  "before its work": {
    name: "broken",
    source: () => fail("source"),
    dispatching: () => fail("dispatching"),
    attempt: () => fail("attempt"),
    transition: () => fail("transition"),
    storeCall: () => fail("storeCall"),
    close: () => fail("close"),
  },
  "after its work": {
    name: "broken",
    attempt(_, run) {
      run()
      return fail("attempt")
    },
    storeCall(_, run) {
      void run()
      return fail("storeCall")
    },
    close: () => Promise.reject(new Error("broken in close")),
  },
  "with what is not an error": {
    name: "broken",
    dispatching() {
      throw null
    },
    transition() {
      throw Symbol("broken")
    },
  },
}

/** They break the contract of the seam without throwing. */
const careless: Readonly<Record<string, Observer>> = {
  "forgets what its work returned": {
    name: "careless",
    attempt: (_, run) => void run() as never,
    storeCall: (_, run) => void run() as never,
  },
  "runs twice, and gives something else": {
    name: "careless",
    attempt(_, run) {
      run()
      run()
      return 7 as never
    },
    async storeCall(_, run) {
      await run()
      await run()
      throw new Error("of its own making")
    },
  },
  "never runs": {
    name: "careless",
    attempt: () => undefined as never,
    storeCall: () => new Promise(() => {}),
  },
}

onBothHosts("an observer", (host) => {
  const open = testApps()
  afterEach(() => void vi.restoreAllMocks())

  /** Runs jobs of every fate, and returns how often handlers ran. */
  async function work(observer: Observer) {
    const metrics = prometheus({ port: false })
    const told: string[] = []
    // Where it throws as the app is made, nobody can listen yet.
    vi.spyOn(console, "error").mockImplementation((text) => told.push(String(text)))
    // In the middle: neither those before nor those after it may suffer.
    const app = open({ adapter: host.adapter(), observers: [metrics, observer, passingOn()] }, true)
    app.on("worker:error", (error) => told.push(error.message))
    app.on("task:failed", () => {})
    const runs: string[] = []
    const task = app.task("t", {
      retry: { attempts: 2, delay: 1 },
      concurrency: 2,
      async handler(deed: string, ctx) {
        ctx.progress(1)
        ctx.log.info("under way")
        await ctx.heartbeat()
        runs.push(`${deed} ${ctx.attempt}`)
        if (deed === "fail" || (deed === "retry" && ctx.attempt === 1)) throw new RangeError("no luck")
        if (deed === "hold") await untilAborted(ctx.signal)
        return deed
      },
    })
    await app.start()
    const [done, retried] = task.dispatchMany([{ data: "return" }, { data: "retry" }])
    expect(await done!.result).toBe("return")
    expect(await retried!.result).toBe("retry")
    await expect(task.dispatch("fail").result).rejects.toThrow("no luck")
    const held = task.dispatch("hold")
    await until(() => runs.includes("hold 1"), "it runs")
    await held.cancel()
    await expect(held.result).rejects.toThrow("cancelled")
    expect(await task.dispatch("late", { delay: "1h" }).cancel()).toBe("cancelled")
    expect(runs.sort()).toEqual(["fail 1", "fail 2", "hold 1", "retry 1", "retry 2", "return 1"])
    const families = parseExposition((await metrics.render()).body, "text")
    await app.close()
    const of = (series: string, labels = {}) =>
      seriesValue(families, series, { task: "t", ...labels, ...prefix })
    const prefix = { prefix: families.get("taskora_store_up")!.samples[0]!.labels.prefix! }
    expect(of("taskora_jobs_completed_total")).toBe(2)
    expect(of("taskora_attempts_started_total")).toBe(6)
    const errors = seriesValue(families, "taskora_observer_errors_total", {
      observer: observer.name,
      ...prefix,
    })
    return { told, errors: errors ?? 0 }
  }

  test.each(Object.keys(throwers))(
    "that throws %s disturbs no job: told once, counted each time",
    async (how) => {
      const { told, errors } = await work(throwers[how]!)
      expect(told).toHaveLength(1)
      expect(errors).toBeGreaterThan(1)
    },
  )

  test.each(Object.keys(careless))("that %s disturbs no job", async (how) => {
    const { told } = await work(careless[how]!)
    expect(told).toEqual(how.startsWith("runs twice") ? ["of its own making"] : [])
  })
})

/** Another observer after the broken one; it wraps what that one wraps. */
function passingOn(): Observer {
  return { name: "other", attempt: (_, run) => run(), storeCall: (_, run) => run(), transition() {} }
}
