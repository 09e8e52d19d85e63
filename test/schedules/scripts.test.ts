import { randomBytes } from "node:crypto"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { scheduleKeys } from "../../src/store/keys.ts"
import type { Script } from "../../src/store/script.ts"
import { scripts } from "../../src/store/scripts.ts"
import type { Adapter, Store } from "../../src/store/store.ts"
import { onBothHosts } from "../support/hosts.ts"

onBothHosts("the scripts of schedules", (host) => {
  let adapter: Adapter
  let store: Store
  let n = 0
  beforeEach(async () => {
    adapter = host.adapter()
    store = adapter.open(randomBytes(5).toString("hex"), { lost() {}, back() {}, message() {} })
    await store.connect()
    n = 0
  })
  afterEach(() => store.close())

  async function run<K extends string, A extends string, T>(
    script: Script<K, A, T>,
    args: Partial<Record<A, string | number>>,
    rest: readonly (string | number)[] = [],
  ): Promise<Exclude<T, "stale">> {
    const keys = scheduleKeys(adapter.prefix) as unknown as Record<K, string> & { base: string }
    const all = { base: keys.base, lane: "l", n: ++n, ...args } as Record<A, string | number>
    const words = script.args.map((name) => all[name])
    const reply = await store.run(
      script.source,
      script.keys.map((key) => keys[key]),
      [...words, ...rest],
    )
    return script.reply(reply) as Exclude<T, "stale">
  }

  const write = (args: object = {}) =>
    run(scripts.schedule_write, {
      ...{ channel: `${adapter.prefix}:taskora:{*schedules}:written`, action: "put", name: "s", version: "" },
      ...{ next: 1000, due: 1000, paused: 0, anchor: 0, definition: '{"a":1}\n' },
      ...args,
    })
  const read = async () => {
    const { schedules } = await run(scripts.schedule_read, { cursor: "", overdue: "" }, ["s"])
    return schedules[0]
  }
  /** Takes slot 1000; `item` says what differs. */
  async function tick(
    item: Partial<Record<"version" | "next" | "slots" | "overlap", string>> = {},
    args: object = {},
  ) {
    const version = item.version ?? (await read())!.state.version
    const { next = "1000", slots = "1000", overlap = "1" } = item
    const rest = ["s", version, next, 2000, 2000, slots, 2, 3, overlap]
    return run(scripts.schedule_tick, args, rest)
  }
  const word = async (answer: ReturnType<typeof tick>) => (await answer).answers[0]!.word

  describe("tick", () => {
    test("takes a slot: the firing is open, the next slot stored, what was left out counted", async () => {
      await write()
      expect(await word(tick())).toBe("taken")
      const { state } = (await read())!
      expect(state).toMatchObject({ next: 2000, due: 2000, slot: 1000, fired: 1, missed: 2, skipped: 3 })
      expect(state.open).toEqual([{ n: 1000, at: state.at, due: 1000, slots: [1000] }])
    })

    test("takes several slots as one firing, and none as none", async () => {
      await write()
      await tick({ slots: "500+700+1000" })
      expect((await read())!.state).toMatchObject({ fired: 3, slot: 1000 })
      expect((await read())!.state.open.map(({ slots }) => slots)).toEqual([[500, 700, 1000]])
      await tick({ next: "2000", slots: "" })
      expect((await read())!.state).toMatchObject({ fired: 3, missed: 4 })
      expect((await read())!.state.open).toHaveLength(1)
    })

    test.each([
      ["another version", { version: "5" }],
      ["another next slot", { next: "999" }],
    ] as const)("changes nothing for a caller that knows %s", async (_, item) => {
      await write()
      const before = await read()
      expect(await word(tick(item))).toBe("changed")
      expect(await read()).toEqual(before)
    })

    test("changes nothing before its time, by the server's clock, nor while it is paused, nor where there is none", async () => {
      await write({ next: 9e12, due: 9e12 })
      expect(await word(tick({ next: "9000000000000" }))).toBe("early")
      const { version } = (await read())!.state
      await write({ version, paused: 1 })
      expect(await word(tick())).toBe("changed")
      await write({ version: (await read())!.state.version, action: "drop" })
      expect(await word(tick({ version: "1" }))).toBe("gone")
    })

    test("where firings may not overlap, takes none while one is open", async () => {
      await write()
      await tick()
      expect(await word(tick({ next: "2000", overlap: "0" }))).toBe("open")
    })

    test("sent again is answered again, once; a late one is stale", async () => {
      await write()
      const { version } = (await read())!.state
      const first = await tick({ version }, { n: 50 })
      const again = await tick({ version }, { n: 50 })
      expect(again.answers).toEqual(first.answers)
      expect((await read())!.state.fired).toBe(1)
      expect(await tick({ version }, { n: 49 })).toBe("stale")
    })
  })

  describe("done", () => {
    test("closes a firing once, whoever asks", async () => {
      await write()
      await tick()
      expect((await run(scripts.schedule_done, {}, ["s", 1000])).letters).toBe("r")
      expect((await run(scripts.schedule_done, { lane: "m" }, ["s", 1000, "none", 1])).letters).toBe("nn")
      expect((await read())!.state).toMatchObject({ open: [], fired: 1, next: 2000 })
    })

    test("sent again is answered again", async () => {
      await write()
      await tick()
      expect((await run(scripts.schedule_done, { n: 70 }, ["s", 1000])).letters).toBe("r")
      expect((await run(scripts.schedule_done, { n: 70 }, ["s", 1000])).letters).toBe("r")
      expect(await run(scripts.schedule_done, { n: 69 }, ["s", 1000])).toBe("stale")
    })
  })

  describe("write", () => {
    test("only over the version that the caller knew", async () => {
      expect((await write()).word).toBe("written")
      expect((await write()).word).toBe("changed")
      const { version } = (await read())!.state
      expect((await write({ version, next: 5, definition: "" })).word).toBe("written")
      expect(await read()).toMatchObject({ declared: '{"a":1}', state: { next: 5 } })
      expect(Number((await read())!.state.version)).toBeGreaterThan(Number(version))
    })

    test("not while a firing is open, lest it meet another definition", async () => {
      await write()
      await tick()
      const { version } = (await read())!.state
      expect((await write({ version })).word).toBe("open")
      expect((await write({ version, action: "drop" })).word).toBe("open")
    })

    test("sent again is answered again", async () => {
      expect((await write({ n: 90 })).word).toBe("written")
      expect((await write({ n: 90 })).word).toBe("written")
      expect(await write({ n: 89 })).toBe("stale")
    })
  })

  test("read: pages, names, and firings that nobody dispatches", async () => {
    for (let i = 0; i < 150; i++) await write({ name: `s${i}` })
    const found = new Set<string>()
    for (let cursor = "0"; ; ) {
      const page = await run(scripts.schedule_read, { cursor, overdue: "" })
      for (const { name } of page.schedules) found.add(name)
      cursor = page.cursor
      if (cursor === "0") break
    }
    expect(found.size).toBe(150)
    await write()
    await tick()
    const late = await run(scripts.schedule_read, { cursor: "", overdue: 0 })
    expect(late.schedules.map(({ name }) => name)).toEqual(["s"])
    await run(scripts.schedule_done, {}, ["s", 1000])
    expect((await run(scripts.schedule_read, { cursor: "", overdue: 0 })).schedules).toEqual([])
  })
})
