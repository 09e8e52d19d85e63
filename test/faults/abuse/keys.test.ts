import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { checkJobId, checkKey, checkPrefix, checkTaskName } from "../../../src/model/names.ts"
import { firingId } from "../../../src/rules/schedule.ts"
import { scheduleKeys, sharedKeys, taskKeyNames, taskKeys, workflowKeys } from "../../../src/store/keys.ts"
import { nodeJobId } from "../../../src/workflow/node-worker.ts"

/** Whatever could be taken for a part of a key's name: what stands between parts, the parts themselves, and the strange. */
const parts = [
  ..."{}:*?[]\\/._-@\"'~;, aA0é",
  "{*}:",
  "taskora:",
  "job:",
  "data:",
  "throttle:",
  "holders:",
  "lane:",
  "events",
  "*w:",
  "*schedules",
  "__proto__",
  "constructor",
  "שלום",
  "\u202e",
  "😀",
  ...taskKeyNames,
]
const made = fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 4 }).map((some) => some.join(""))
const hostile = fc.oneof(made, fc.string({ minLength: 1, maxLength: 20, unit: "binary" }))
const allowed = (check: (text: unknown) => string) => (text: string) => {
  try {
    return check(text) === text
  } catch {
    return false
  }
}
const name = (check: (text: unknown) => string) => fc.oneof(hostile.filter(allowed(check)), fc.constant("a"))

const prefixes = fc.oneof(
  fc.constantFrom("", "a", "taskora", "taskora:", "a:taskora:", ":"),
  hostile.filter(allowed(checkPrefix)),
)
const ids = name(checkJobId)
/** What stands before an id or a key of the user's, of one task. */
const kinds = [
  ...["job", "data", "progress", "logs", "result", "lane"],
  ...["throttle", "debounce", "dedupe", "holders"],
] as const
const own = fc.record({
  prefix: prefixes,
  task: name(checkTaskName),
  kind: fc.constantFrom(...kinds),
  id: ids,
})
const fixed = fc.record({
  prefix: prefixes,
  task: name(checkTaskName),
  fixed: fc.constantFrom(...taskKeyNames, "channel" as const),
})
const shared = fc.record({
  prefix: prefixes,
  shared: fc.constantFrom("tasks", "workers", "workerInfo", "meta"),
  cluster: fc.boolean(),
})
const workflow = fc.record({
  prefix: prefixes,
  workflow: fc.constantFrom("a", "abcdefghijklmnop"),
  key: fc.constantFrom("head", "out"),
})
const schedule = fc.record({
  prefix: prefixes,
  schedules: fc.constantFrom("schedules", "definitions", "pending"),
})
const any = fc.oneof(own, fixed, shared, workflow, schedule)
type Named = typeof any extends fc.Arbitrary<infer N> ? N : never

function keyOf(named: Named): string {
  if ("kind" in named) return `${taskKeys(named.prefix, named.task).base}${named.kind}:${named.id}`
  if ("fixed" in named) return taskKeys(named.prefix, named.task)[named.fixed]
  if ("shared" in named)
    return sharedKeys(named.prefix, named.cluster)[named.shared as keyof ReturnType<typeof sharedKeys>]
  if ("workflow" in named) return workflowKeys(named.prefix, named.workflow)[named.key as "head"]
  return scheduleKeys(named.prefix)[named.schedules as "schedules"]
}

const runs = { numRuns: 3000 }

describe("names and keys", () => {
  it("two different names never share a key, whatever the names", () => {
    fc.assert(
      fc.property(fc.array(any, { minLength: 2, maxLength: 12 }), (all) => {
        const whose = new Map<string, string>()
        for (const named of all) {
          const who = JSON.stringify(named)
          const key = keyOf(named)
          expect(whose.get(key) ?? who, key).toBe(who)
          whose.set(key, who)
        }
      }),
      runs,
    )
  })

  it("all keys of a task lie in one slot, and no other task's name brings its keys there", () => {
    const tagOf = (key: string) => key.slice(key.indexOf("{") + 1, key.indexOf("}"))
    fc.assert(
      fc.property(own, ({ prefix, task, kind, id }) => {
        expect(tagOf(keyOf({ prefix, task, kind, id }))).toBe(task)
      }),
      runs,
    )
  })

  it("job ids of schedules and workflows are ids, and different ones for different slots and nodes", () => {
    const scheduleName = hostile.filter((text) => /^[A-Za-z0-9_\-.:/]{1,100}$/.test(text))
    const slot = fc.integer({ min: 0, max: 253_402_300_799_999 })
    const firing = fc.tuple(fc.oneof(scheduleName, fc.constant("a")), slot)
    const node = fc.tuple(
      fc.stringMatching(/^[a-z0-9]{16}$/),
      fc.nat(100_000).map((number) => String(number)),
    )
    fc.assert(
      fc.property(firing, firing, node, node, (f1, f2, n1, n2) => {
        const [a, b, c, d] = [firingId(...f1), firingId(...f2), nodeJobId(...n1), nodeJobId(...n2)]
        for (const id of [a, b, c, d]) expect(checkJobId(id)).toBe(id)
        expect(a === b).toBe(f1.join() === f2.join())
        expect(c === d).toBe(n1.join() === n2.join())
        expect([c, d]).not.toContain(a)
      }),
      runs,
    )
  })

  it.each(["", "a".repeat(100_000), "é".repeat(65), "a\nb", "a\tb", "a\0b", "\u007f", "\ud800", 5, null, {}])(
    "the key %j is refused",
    (key) => {
      expect(() => checkKey(key, "concurrencyKey")).toThrow(/concurrencyKey: .* is not allowed/)
    },
  )
})
