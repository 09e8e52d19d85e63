import { createRequire } from "node:module"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { sharedKeys, taskKeyNames, taskKeys } from "../../src/store/keys.ts"
import { bySlot, slotOf } from "../../src/store/slots.ts"

// What ioredis itself asks.
const reference = createRequire(import.meta.resolve("ioredis"))("cluster-key-slot") as (key: string) => number

describe("slots", () => {
  it("are those of a cluster, for any text", () => {
    expect(slotOf("123456789")).toBe(0x31c3)
    const text = fc.string({ unit: "grapheme", minLength: 1 }).filter((one) => !/[{}]/.test(one))
    fc.assert(
      fc.property(text, text, (a, b) => {
        for (const key of [a, `{${a}}${b}`, `${b}{${a}`, `${a}}`, `${a}{${b}}{${a}}`, `{{${a}}}${b}`])
          expect(slotOf(key)).toBe(reference(key))
      }),
    )
    // An empty tag is none.
    expect(slotOf("{}a{b}")).toBe(16_175)
  })

  it("hold all keys of a task, and all shared ones, together", () => {
    const keys = taskKeys("shop", "send:mail")
    const slots = new Set(taskKeyNames.map((name) => slotOf(keys[name])))
    expect([...slots]).toEqual([slotOf("send:mail")])
    expect(slotOf(keys.channel)).toBe(slotOf("send:mail"))
    expect(new Set(Object.values(sharedKeys("shop", true)).map(slotOf))).toEqual(new Set([slotOf("*")]))
    expect(sharedKeys("shop").tasks).toBe("shop:taskora:tasks")
  })

  it("group what one call may speak for; without slots that is all", () => {
    expect(bySlot(["a", "b"], undefined, (key) => key)).toEqual([["a", "b"]])
    expect(bySlot([], undefined, (key) => key)).toEqual([])
    expect(bySlot(["{a}1", "{b}1", "{a}2"], slotOf, (key) => key)).toEqual([["{a}1", "{a}2"], ["{b}1"]])
  })
})
