import { Redis } from "ioredis"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import type { MemoryAdapter } from "../../../src/store/embedded/adapter.ts"
import { root } from "../../../src/store/keys.ts"
import type { Adapter, Reply } from "../../../src/store/store.ts"
import { hearTask } from "../../support/hearing.ts"
import { onBothHosts, testApps } from "../../support/hosts.ts"

type Command = (...args: string[]) => Promise<Reply>
/** Where a job's keys lie: its record, and its data where that is long. */
interface Keys {
  readonly record: string
  readonly data: string
}

async function rewrite(command: Command, key: string, how: (text: string) => string): Promise<void> {
  await command("SET", key, how(String(await command("GET", key))))
}

const small = { some: "data" }
const large = { some: "data ".repeat(1000) }

const damages: [what: string, data: unknown, damage: (command: Command, keys: Keys) => Promise<unknown>][] = [
  ["truncated JSON", small, (command, { record }) => rewrite(command, record, (text) => text.slice(0, -3))],
  [
    "truncated JSON, apart",
    large,
    (command, { data }) => rewrite(command, data, (text) => text.slice(0, 999)),
  ],
  ["data that is gone", large, (command, { data }) => command("DEL", data)],
  ["data that is no JSON", large, (command, { data }) => command("SET", data, "\0\u0001<xml>")],
  [
    "missing fields",
    small,
    (command, { record }) => rewrite(command, record, (text) => text.split("\n")[0]!),
  ],
  [
    "fewer numbers",
    small,
    (command, { record }) => rewrite(command, record, (text) => text.replace(",", "")),
  ],
  [
    "an unknown state",
    small,
    (command, { record }) => rewrite(command, record, (text) => `q${text.slice(1)}`),
  ],
  [
    "a state that is no letter",
    small,
    (command, { record }) => rewrite(command, record, (text) => `7${text.slice(1)}`),
  ],
  ["an empty record", small, (command, { record }) => command("SET", record, "")],
  ["somebody else's JSON", small, (command, { record }) => command("SET", record, '{"state":"waiting"}')],
]

onBothHosts("stored data that is damaged", (host) => {
  const open = testApps()
  let redis: Redis | undefined

  beforeEach(() => {
    vi.spyOn(console, "error").mockImplementation(() => {})
    const url = host.url()
    if (url !== undefined) redis = new Redis(url, { protocol: 2 })
  })
  afterEach(() => {
    redis?.disconnect()
    vi.restoreAllMocks()
  })

  function commandOf(adapter: Adapter): Command {
    return async (...args) =>
      redis ? ((await redis.call(...(args as [string]))) as Reply) : (adapter as MemoryAdapter).command(args)
  }

  it.each(damages)(
    "%s: that job fails with a clear error, and the worker goes on",
    async (_what, data, damage) => {
      const adapter = host.adapter()
      const taskora = open({ adapter })
      const task = taskora.task<unknown, string>("t", { concurrency: 3, handler: async () => "well" })
      const heard = hearTask(task)
      const handles = [task.dispatch("before"), task.dispatch(data), task.dispatch("after")]
      await Promise.all(handles)
      const { id } = handles[1]!
      const base = `${root(adapter.prefix)}{t}:`
      await damage(commandOf(adapter), { record: `${base}job:${id}`, data: `${base}data:${id}` })
      await taskora.start()
      expect(await handles[0]!.result).toBe("well")
      expect(await handles[2]!.result).toBe("well")
      await heard.until("failed")
      const [failed] = heard.of("failed")
      expect(failed).toMatchObject({ id, willRetry: false })
      expect(failed!.error).toMatch(/could not be read|damaged|lost|missing/)
      expect(failed!.error).toContain(id)
      expect(await task.dispatch("later").result).toBe("well")
      expect((await taskora.inspect().stats()).active).toBe(0)
    },
  )
})
