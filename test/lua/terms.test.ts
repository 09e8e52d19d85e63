import { expect, test } from "vitest"
import { decodeRecord } from "../../src/store/record.ts"
import { onBothHosts } from "../support/hosts.ts"
import { benchOf } from "./harness.ts"

onBothHosts("terms of a job", (host) => {
  const bench = benchOf(host)

  test("stand at the end of its record's third line, and stay there through a run", async () => {
    const task = bench.task()
    const terms = ["t 60000,1", "c 3,a,key;with marks", "v 7"]
    await task.fresh(task.calls.enqueue(task.next(), [{ id: "a", terms }, { id: "plain" }]))
    const created = Number(task.state!.records.get("a")!.created)
    expect(task.state!.records.get("plain")).toMatchObject({ terms: "", flags: "" })
    const { claimed } = await task.fresh(task.calls.settle(task.next("w"), [], { want: 1, version: 7 }))
    expect(decodeRecord(claimed[0]!.record)).toMatchObject({
      flags: "k",
      terms: {
        expires: created + 60_000,
        discard: true,
        limit: 3,
        version: 7,
        concurrencyKey: "a,key;with marks",
        dedupeKey: "",
      },
    })
  })

  test("that nobody knows, or that cannot be read, are refused in words, and nothing is stored", async () => {
    for (const line of ["y 1", "c many,key", "v -1", "b 5,,k", "r 1,k", "u z,k"]) {
      const task = bench.task()
      const call = task.calls.enqueue(task.next(), [{ id: "b" }, { id: "a", terms: [line] }])
      await expect(task.send(call)).rejects.toThrow(
        `option ${line[0]} of job a is not known or cannot be read`,
      )
    }
  })
})
