import { expect, test } from "vitest"
import { decodeEntry, lastSeq, unfold } from "../../src/store/stream.ts"

test("a line of an unknown kind counts as one transition, and is passed over", () => {
  const entry = decodeEntry('7,w1\na1\t1\t5\t\nq1\tof a later version\nf1\t1,5\t2\t2\t"no"\nx2\t')!
  const events = [...unfold(entry, 9)].map(({ name, seq }) => `${seq} ${name}`)
  expect(events).toEqual(["7 active", "9 failed", "10 retrying", "11 cancelled"])
  expect(lastSeq(entry)).toBe(11)
})
