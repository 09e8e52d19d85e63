import { expect, it } from "vitest"
import type { DispatchOptions } from "../../../src/index.ts"
import { onBothHosts, testApps, until } from "../../support/hosts.ts"

/** Allowed, each another key, and hard to tell apart for whoever splits, escapes, matches or folds. */
const keys = [
  "a",
  "A",
  "a ",
  " a",
  "a:b",
  "a:b:",
  "{a}",
  "}{",
  "*",
  "?",
  "[a]",
  "\\",
  "'\"`",
  ",",
  ";",
  "1,a",
  "__proto__",
  "constructor",
  "toString",
  "שלום",
  "\u202ea",
  "😀",
  "é",
  "e\u0301",
  "%00",
  "%s%d%1",
  "-1",
  "0",
  "00",
  "nil",
  "~",
  "\u2028",
  "waiting",
  "job:a",
  "x".repeat(127),
  "x".repeat(128),
]

onBothHosts("hostile keys", (host) => {
  const open = testApps()
  const app = () => open({ adapter: host.adapter() })

  it.each<[string, (key: string) => DispatchOptions]>([
    ["throttle", (key) => ({ throttle: { key, max: 1, window: "1h" } })],
    ["deduplicate", (key) => ({ deduplicate: { key } })],
  ])("of %s: each lets its first dispatch in, and not its second", async (_, options) => {
    const task = app().task<string, unknown>("gated")
    for (const enqueued of [true, false]) {
      const handles = keys.map((key) => task.dispatch(key, options(key)))
      await Promise.all(handles)
      expect(keys.filter((_key, i) => handles[i]!.enqueued !== enqueued)).toEqual([])
    }
  })

  it("of debounce: each replaces its own job, and no other's", async () => {
    const task = app().task<string, unknown>("gated")
    const rounds = []
    for (const round of [1, 2]) {
      const handles = keys.map((key) => task.dispatch(`${key} ${round}`, { debounce: { key, delay: "1h" } }))
      await Promise.all(handles)
      expect(await Promise.all(handles.map((handle) => handle.getState()))).toEqual(keys.map(() => "delayed"))
      rounds.push(handles)
    }
    const states = await Promise.all(rounds[0]!.map((handle) => handle.getState()))
    expect(states).toEqual(keys.map(() => "cancelled"))
  })

  it("of concurrency: the first job of each runs beside all others, and its second only after it", async () => {
    const taskora = app()
    const running = new Set<string>()
    let over = 0
    let go = () => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const task = taskora.task<string, string>("keyed", {
      concurrency: 2 * keys.length,
      handler: async (key) => {
        if (running.has(key)) over++
        running.add(key)
        await gate
        running.delete(key)
        return key
      },
    })
    await taskora.start()
    const handles = [...keys, ...keys].map((key) => task.dispatch(key, { concurrencyKey: key }))
    await Promise.all(handles)
    await until(() => running.size === keys.length, "a job of each key runs")
    go()
    expect(await Promise.all(handles.map((handle) => handle.result))).toEqual([...keys, ...keys])
    expect(over).toBe(0)
  })

  it("as ids of jobs: each is a job of its own, found by its id, and a second one is a duplicate", async () => {
    const taskora = app()
    const task = taskora.task<string, string>("named", async (id) => id)
    const first = keys.map((jobId) => task.dispatch(jobId, { jobId }))
    expect(await Promise.all(first)).toEqual(keys)
    const second = keys.map((jobId) => task.dispatch("another", { jobId }))
    await Promise.all(second.map((handle) => handle.then(() => 0)))
    expect(keys.filter((_id, i) => second[i]!.enqueued)).toEqual([])
    expect(await Promise.all(first.map(async (handle) => (await handle.getJob())?.data))).toEqual(keys)
    await taskora.start()
    expect(await Promise.all(first.map((handle) => handle.result))).toEqual(keys)
  })
})
