import { fileURLToPath } from "node:url"
import { afterEach, expect, test } from "vitest"
import {
  type EventFacts,
  type FieldFacts,
  type FieldsOf,
  metaFacts,
  taskEventFacts,
  workerErrorFacts,
  workerEventFacts,
} from "../../exporters/catalogue/payloads.ts"
import { renderEventsReference } from "../../exporters/events-reference.ts"
import type { EventMeta, TaskEvents } from "../../src/index.ts"
import { memoryAdapter } from "../../src/memory.ts"
import { appEventNames, taskEventNames, workerEventNames } from "../../src/model/events.ts"
import { claimAndVanish } from "../support/ghost.ts"
import { testApps, until } from "../support/hosts.ts"

/** `npx vitest run test/exporters/events-reference.test.ts -u` writes it anew. */
const page = fileURLToPath(new URL("../../docs/events.md", import.meta.url))

/** Of the users' page of events, which is the law for names. */
const law = [
  "completed | { id, result, duration, attempt }",
  "failed | { id, error, attempt, willRetry }",
  "retrying | { id, attempt, nextAttempt, error }",
  "progress | { id, progress }",
  "active | { id, attempt }",
  'stalled | { id, count, action: "recovered" | "failed" }',
  "cancelled | { id, reason? }",
]
/** What has come since, beside the page. */
const added = ["expired | { id, attempt }"]

test("docs/events.md is current", async () => {
  await expect(renderEventsReference()).toMatchFileSnapshot(page)
})

test("its table of payloads is that of the users' page", () => {
  const [, rows = ""] = /## Payloads\n\n.*\n.*\n((?:\|.*\n)+)/.exec(renderEventsReference()) ?? []
  const shown = rows
    .trimEnd()
    .split("\n")
    .map((row) => row.replaceAll("\\|", "|").replace(/^\| `(\w+)` \| `(.*)` \|$/, "$1 | $2"))
  expect(shown.sort()).toEqual([...law, ...added].sort())
})

test("every event has its words, its metrics and its spans", () => {
  expect(Object.keys(taskEventFacts)).toEqual([...taskEventNames])
  expect(Object.keys(workerEventFacts)).toEqual([...workerEventNames])
  const text = renderEventsReference()
  for (const name of taskEventNames) expect(text).toContain(`### \`${name}\``)
  const [, rows = ""] = /## Each event in metrics and traces\n\n.*\n.*\n((?:\|.*\n)+)/.exec(text) ?? []
  const cells = rows
    .trimEnd()
    .split("\n")
    .map((row) => row.split(" | "))
  expect(cells.map(([event]) => event)).toEqual(appEventNames.map((name) => `| \`${name}\``))
  for (const [, metrics, spans] of cells) expect([metrics, spans]).not.toContain("")
  for (const kind of Object.keys(workerErrorFacts)) expect(text).toContain(`| \`${kind}\` |`)
})

const open = testApps()
const payloads = new Map<string, object[]>()
afterEach(() => payloads.clear())

test("payloads and meta are as described, of jobs that really ran", async () => {
  const adapter = memoryAdapter()
  const app = open({ adapter })
  const metas: object[] = []
  const task = app.task("mail", {
    retry: { attempts: 2, delay: 1 },
    stall: { interval: 1000, maxCount: 1 },
    handler: async (fails: boolean, ctx) => {
      ctx.progress({ sent: 1 })
      if (fails) throw new Error("Connection refused")
      return "sent"
    },
  })
  for (const name of taskEventNames)
    task.on(name, (payload: object, meta: object) => {
      payloads.set(name, [...(payloads.get(name) ?? []), payload])
      metas.push(meta)
    })
  await app.listen()
  const stalls = task.dispatch(false)
  await stalls
  expect(await claimAndVanish(adapter, "mail")).toEqual([stalls.id])
  for (const reason of [undefined, "not needed"]) {
    const unwanted = task.dispatch(false, { delay: "1h" })
    await unwanted
    await unwanted.cancel(reason === undefined ? {} : { reason })
  }
  await task.dispatch(false, { ttl: 1 })
  await app.start()
  await expect(task.dispatch(true).result).rejects.toThrow("Connection refused")
  await stalls.result
  await until(() => payloads.size === taskEventNames.length, "each event was heard")

  for (const name of taskEventNames) {
    const { fields } = taskEventFacts[name] as EventFacts
    for (const payload of payloads.get(name)!) fits(payload, fields)
  }
  expect(payloads.get("cancelled")!.map((payload) => Object.keys(payload).sort())).toEqual([
    ["id"],
    ["id", "reason"],
  ])
  for (const meta of metas) fits(meta, metaFacts)
}, 60_000)

type Fields = Readonly<Record<string, FieldFacts & { readonly optional?: true }>>

/** Fails where a described field is missing, one is there that is not described, or its type is another. */
function fits(value: object, fields: Fields): void {
  const needed = Object.entries(fields).filter(([, { optional }]) => !optional)
  expect(Object.keys(value)).toEqual(expect.arrayContaining(needed.map(([name]) => name)))
  for (const [name, held] of Object.entries(value)) {
    const { type } = fields[name] ?? { type: "undescribed" }
    if (type.startsWith('"')) expect(type, name).toContain(JSON.stringify(held))
    else if (type !== "the handler's result") expect(type.split(" | "), name).toContain(typeof held)
  }
}

test("a field that is missing, too much, or of another type does not compile", () => {
  const id = { type: "string", meaning: "" } as const
  const attempt = { type: "number", meaning: "" } as const
  const misuses = [
    // @ts-expect-error a field is missing
    { id } satisfies FieldsOf<TaskEvents["active"]>,
    // @ts-expect-error a field too many
    { id, attempt, more: id } satisfies FieldsOf<TaskEvents["active"]>,
    // @ts-expect-error another type
    { id, attempt: id } satisfies FieldsOf<TaskEvents["active"]>,
    // @ts-expect-error optional, and not said so
    { id, reason: id } satisfies FieldsOf<TaskEvents["cancelled"]>,
    // @ts-expect-error said to be optional, and is not
    { id, attempt: { ...attempt, optional: true } } satisfies FieldsOf<TaskEvents["active"]>,
    // @ts-expect-error another word
    { id, count: attempt, action: { type: '"saved" | "failed"', meaning: "" } } satisfies FieldsOf<
      TaskEvents["stalled"]
    >,
    // @ts-expect-error a part of it
    { timestamp: attempt, seq: attempt } satisfies FieldsOf<EventMeta>,
  ]
  expect(misuses).toHaveLength(7)
})
