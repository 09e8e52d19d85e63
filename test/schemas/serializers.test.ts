import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { z } from "zod"
import { msgpackSerializer } from "../../examples/serializers/msgpack.ts"
import { superjsonSerializer } from "../../examples/serializers/superjson.ts"
import { type JobFailedError, SerializationError, type Serializer } from "../../src/index.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"

const at = new Date("2026-11-23T12:00:00Z")
const carried: readonly (readonly [string, Serializer, unknown])[] = [
  [
    "superjson",
    superjsonSerializer,
    { at, seen: new Map([["a", new Set([1n])]]), missing: undefined, text: "ü\n\u0000" },
  ],
  ["msgpack + base64", msgpackSerializer, { at, bytes: new Uint8Array([0, 255]), list: [1.5, null, "ü\n"] }],
]

onBothHosts("serializers", (host) => {
  const openApp = testApps()
  beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}))
  afterEach(() => void vi.restoreAllMocks())

  it.each(carried)("%s carries data and results that JSON would not", async (_, serializer, value) => {
    const taskora = openApp({ adapter: host.adapter(), serializer })
    const got: unknown[] = []
    const task = taskora.task("carry", (data: unknown) => {
      got.push(data)
      return data
    })
    await taskora.start()
    const handle = task.dispatch(value)
    expect(await handle.result).toEqual(value)
    expect(got).toEqual([value])
    expect((await handle.getJob())?.data).toEqual(value)
  })

  it("with one that carries dates, a schema of dates holds on both sides", async () => {
    const taskora = openApp({ adapter: host.adapter(), serializer: superjsonSerializer })
    const task = taskora.task("dates", {
      input: z.object({ at: z.date() }),
      output: z.date(),
      handler: (data) => data.at,
    })
    await taskora.start()
    expect(await task.dispatch({ at }).result).toEqual(at)
  })

  it.each([
    ["throws", () => JSON.parse("{")],
    ["gives no text", () => 5 as never],
    ["gives a promise", async () => "text"],
  ])("errors in them are SerializationErrors: serialize that %s", async (_, serialize) => {
    const serializer = { serialize: serialize as () => string, deserialize: JSON.parse }
    const task = openApp({ adapter: host.adapter(), serializer }).task("broken")
    await expect(task.dispatch(1)).rejects.toBeInstanceOf(SerializationError)
  })

  it("errors in them are SerializationErrors: deserialize that throws fails the attempt, unretried", async () => {
    const serializer: Serializer = {
      serialize: JSON.stringify,
      deserialize() {
        throw new TypeError("not mine")
      },
    }
    const taskora = openApp({ adapter: host.adapter(), serializer })
    const task = taskora.task("broken", { handler: () => 1, retry: { attempts: 3 } })
    await taskora.start()
    const error = await task.dispatch(1).result.catch((thrown: unknown) => thrown as JobFailedError)
    expect(error).toMatchObject({
      cause: { name: "SerializationError", message: expect.stringContaining("could not be read: not mine") },
    })
  })
})
