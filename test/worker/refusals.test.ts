import { expect, it } from "vitest"
import { type Adapter, TaskoraError } from "../../src/index.ts"
import { StoreError } from "../../src/store/store.ts"
import { onBothHosts, testApps, until } from "../support/hosts.ts"
import { pause } from "./work.ts"

/** The adapter, with a server that refuses a script while `refuses` says so. */
function refusing(adapter: Adapter, refuses: (script: string, args: readonly unknown[]) => boolean): Adapter {
  return {
    ...adapter,
    open(instance, listeners) {
      const store = adapter.open(instance, listeners)
      const run = store.run.bind(store)
      store.run = (script, keys, args) =>
        refuses(script.name, args)
          ? Promise.reject(new StoreError(`script "${script.name}": ERR refused`, "refused"))
          : run(script, keys, args)
      return store
    },
  }
}

onBothHosts("a server that refuses", (host) => {
  const open = testApps()

  it("claims is asked ever less often, and served again when it relents", async () => {
    let calls = 0
    let refuse = true
    const adapter = refusing(host.adapter(), (script) => {
      if (script === "settle") calls++
      return refuse && script === "settle"
    })
    const app = open({ adapter }, true)
    const errors: Error[] = []
    app.on("worker:error", (error) => errors.push(error))
    const ran: number[] = []
    const task = app.task<number>("work", (i) => void ran.push(i))
    await app.start()
    await task.dispatch(1)
    await pause(3000)
    expect(calls).toBeLessThan(12)
    expect(errors.length).toBeLessThanOrEqual(calls)
    expect(new Set(errors.map((error) => (error as { kind?: string }).kind))).toEqual(new Set(["script"]))
    refuse = false
    await until(() => ran.length === 1, "the job runs")
  })

  it("outcomes for good leaves them to recovery, and never makes room for more than the concurrency", async () => {
    let refusals = 0
    const adapter = refusing(host.adapter(), (script, args) => {
      const refused = script === "settle" && args.includes("failed") && refusals < 8
      if (refused) refusals++
      return refused
    })
    // Nobody waits for the pauses between the tries.
    const { clock } = adapter
    const hasty: Adapter = {
      ...adapter,
      clock: { ...clock, setTimeout: (fn, ms, hold) => clock.setTimeout(fn, ms > 100 ? ms / 20 : ms, hold) },
    }
    const app = open({ adapter: hasty }, true)
    app.on("worker:error", () => {})
    let running = 0
    let most = 0
    let runs = 0
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const task = app.task<number>("work", {
      timeout: 50,
      handler: async () => {
        most = Math.max(most, ++running)
        // The first one goes on after its timeout, until its outcome has been given up.
        if (++runs === 1) await held
        else await pause(20)
        running--
      },
    })
    await app.start()
    await Promise.all(task.dispatchMany(Array.from({ length: 5 }, (_, i) => ({ data: i }))))
    await until(() => refusals === 8, "the outcome was given up")
    await pause(200)
    release()
    await until(() => runs >= 5, "the others run")
    expect(most).toBe(1)
  })

  it("renewals is told to who asked for one by heartbeat()", async () => {
    let refuse = false
    const adapter = refusing(host.adapter(), (script) => refuse && script === "renew")
    const app = open({ adapter }, true)
    app.on("worker:error", () => {})
    const task = app.task("work", async (_, ctx) => {
      refuse = true
      const refused = await ctx.heartbeat().catch((error: unknown) => error)
      refuse = false
      await ctx.heartbeat()
      expect(ctx.signal.aborted).toBe(false)
      return refused instanceof TaskoraError && [refused.code, refused.message]
    })
    await app.start()
    const handle = task.dispatch({})
    expect(await handle.result).toEqual([
      "STORE",
      expect.stringMatching(/lease of job .* was not renewed: .*ERR refused/),
    ])
  })
})
