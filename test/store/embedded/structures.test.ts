import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Deque } from "../../../src/store/embedded/deque.ts"
import { formatDouble, parseInteger } from "../../../src/store/embedded/numbers.ts"
import { type Member, SortedSet } from "../../../src/store/embedded/sorted-set.ts"
import { Stream } from "../../../src/store/embedded/stream.ts"
import { redisAvailable } from "../../support/redis-server.ts"
import { memoryHost, redisHost } from "./hosts.ts"

const byOrder = (a: Member, b: Member) => a.score - b.score || (a.member < b.member ? -1 : 1)

describe("SortedSet", () => {
  test("keeps order over many chunks, as an array that is sorted anew", () => {
    const change = fc.tuple(fc.nat(4000), fc.integer({ min: 0, max: 30 }), fc.boolean())
    fc.assert(
      fc.property(fc.array(change, { minLength: 1500, maxLength: 4000, size: "max" }), (changes) => {
        const set = new SortedSet()
        const model = new Map<string, number>()
        for (const [id, score, remove] of changes) {
          if (remove && model.has(`m${id}`)) {
            model.delete(`m${id}`)
            expect(set.delete(`m${id}`)).toBe(true)
          } else {
            model.set(`m${id}`, score)
            set.set(`m${id}`, score)
          }
        }
        const sorted = [...model].map(([member, score]) => ({ member, score })).sort(byOrder)
        expect(set.byRank(0, set.size - 1, false)).toEqual(sorted)
        expect(set.byRank(0, set.size - 1, true)).toEqual(sorted.toReversed())
        for (const rank of [0, sorted.length >> 1, sorted.length - 1])
          expect(set.rank(sorted[rank]!.member)).toBe(rank)
        const range = { min: 5, minExclusive: true, max: 20, maxExclusive: false }
        const within = sorted.filter(({ score }) => score > 5 && score <= 20)
        expect(set.count(range)).toBe(within.length)
        expect(set.byScore(range, false)).toEqual(within)
        expect(set.byScore(range, true, 3, 5)).toEqual(within.toReversed().slice(3, 8))
        const few = sorted.filter((_, at) => at % 40 === 0)
        for (const [at, { member }] of sorted.entries()) if (at % 40 !== 0) set.delete(member)
        expect(set.byRank(0, set.size - 1, false)).toEqual(few)
        while (set.size > 0) set.delete(set.first()!.member)
        expect(set.first()).toBeUndefined()
      }),
      { numRuns: 15 },
    )
  })
})

describe("Deque", () => {
  test("is a list, whatever is done at its ends", () => {
    const change = fc.tuple(
      fc.constantFrom("pushLeft", "pushRight", "popLeft", "popRight"),
      fc.integer({ min: 1, max: 40 }),
    )
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const deque = new Deque()
        const model: string[] = []
        let next = 0
        for (const [name, times] of changes)
          for (let time = 0; time < times; time++) {
            if (name === "pushLeft") {
              deque.pushLeft(`${next}`)
              model.unshift(`${next++}`)
            } else if (name === "pushRight") {
              deque.pushRight(`${next}`)
              model.push(`${next++}`)
            } else if (name === "popLeft") expect(deque.popLeft()).toBe(model.shift())
            else expect(deque.popRight()).toBe(model.pop())
          }
        expect(deque.slice(0, deque.length - 1)).toEqual(model)
      }),
    )
  })
})

describe("Stream", () => {
  test("trims whole nodes when approximately, and is bounded", () => {
    const stream = new Stream()
    for (let ms = 1; ms <= 10_000; ms++) {
      stream.append({ ms, seq: 0 }, ["e", "x"])
      stream.trim(250, true, 10_000)
      expect(stream.length).toBeLessThan(350)
      if (ms >= 250) expect(stream.length).toBeGreaterThanOrEqual(250)
    }
    expect(stream.range({ ms: 0, seq: 0 }, { ms: Infinity, seq: 0 }, 1, false)[0]?.ms).toBe(
      10_000 - stream.length + 1,
    )
  })

  test.skipIf(!redisAvailable())("trims as a server does", async () => {
    const [memory, redis] = [await memoryHost(), await redisHost()]
    const key = `taskora-test:${process.pid}:trim`
    const steps = Array.from({ length: 1200 }, (_, at) => {
      if (at % 97 === 50) return ["XDEL", key, `${at - 20}-0`]
      if (at % 211 === 100) return ["XTRIM", key, "MAXLEN", "=", String(200 + (at % 7) * 10)]
      return ["XADD", key, "MAXLEN", "~", String(150 + (at % 5)), `${at + 1}-0`, "e", "x".repeat(at % 9)]
    })
    const commands = [
      ...steps.flatMap((step) => [step, ["XLEN", key]]),
      ["XRANGE", key, "-", "+"],
      ["DEL", key],
    ]
    const answers = await Promise.all([memory.commands(commands), redis.commands(commands)])
    await memory.close()
    await redis.close()
    expect(answers[0]).toEqual(answers[1])
  })
})

describe("numbers", () => {
  test.each([
    [0.1, "0.10000000000000001"],
    [-0, "-0"],
    [1e15, "1000000000000000"],
    [1e17, "1e+17"],
    [2 ** 60, "1.152921504606847e+18"],
    [1e-5, "1.0000000000000001e-05"],
    [0.5, "0.5"],
    [1700000000000.25, "1700000000000.25"],
    [-Infinity, "-inf"],
    [5e-324, "4.9406564584124654e-324"],
  ])("%d is written as %s", (value, text) => {
    expect(formatDouble(value)).toBe(text)
  })

  test.each(["01", "+1", " 1", "1 ", "", "-", "-0", "1e3", "0x1", "9223372036854775808"])(
    "%j is no integer",
    (text) => {
      expect(parseInteger(text)).toBeUndefined()
    },
  )
})
