import { expect, test } from "vitest"
import { onBothHosts } from "../support/hosts.ts"
import { benchOf, type TaskBench } from "./harness.ts"

/** Breaks one rule of a busy task's data each, and names the complaint that must come. */
const breaches: Record<string, readonly [breach: (task: TaskBench) => string[][], complaint: RegExp]> = {
  "a job in two collections": [({ keys }) => [["ZADD", keys.delayed, "5", "w1"]], /w1 is w, and stands in/],
  "a waiting job twice in the list": [
    ({ keys }) => [["LPUSH", keys.waiting, "w1"]],
    /w1 is w, and stands in/,
  ],
  "a job in no collection": [({ keys }) => [["DEL", keys.waiting]], /w1 is w, and stands in \[\]/],
  "a ghost record": [
    ({ keys }) => [["SET", `${keys.base}job:g`, "w,,,,,,,\n\n1,,,,,,,,\n\n\nnull"]],
    /g is w/,
  ],
  "a record that cannot be read": [({ keys }) => [["SET", `${keys.base}job:w1`, "?"]], /w1 cannot be read/],
  "a lease of nobody": [({ keys }) => [["ZADD", keys.active, "5", "nobody\t1"]], /active holds nobody/],
  "another token": [
    ({ keys }) => [
      ["DEL", keys.active],
      ["ZADD", keys.active, "5", "a1\t77"],
    ],
    /a1 is leased under/,
  ],
  "a token beyond the last": [({ keys }) => [["HSET", keys.stats, "token", "0"]], /higher than the last/],
  "progress without an owner": [
    ({ keys }) => [["SET", `${keys.base}progress:w1`, "1"]],
    /progress of w1 has no owner/,
  ],
  "logs without an owner": [({ keys }) => [["RPUSH", `${keys.base}logs:w1`, "0"]], /logs of w1 has no owner/],
  "a result without an owner": [
    ({ keys }) => [["SET", `${keys.base}result:w1`, "1"]],
    /result of w1 has no owner/,
  ],
  "a strange key": [({ keys }) => [["SET", `${keys.base}other`, "1"]], /nobody knows the key other/],
  "a throttle for ever": [({ keys }) => [["RPUSH", `${keys.base}throttle:k`, "5"]], /throttle of k stays/],
  "a throttle out of order": [
    ({ keys }) => [
      ["RPUSH", `${keys.base}throttle:k`, "5", "6"],
      ["PEXPIRE", `${keys.base}throttle:k`, "60000"],
    ],
    /throttle of k is out of order/,
  ],
  "a debounce for ever": [
    ({ keys }) => [["SET", `${keys.base}debounce:k`, "w1\t5\t5"]],
    /debounce of k stays/,
  ],
  "a debounce of nothing": [
    ({ keys }) => [["SET", `${keys.base}debounce:k`, "w1", "PX", "60000"]],
    /debounce of k cannot be read/,
  ],
  "a deduplication of another's job": [
    ({ keys }) => [["ZADD", `${keys.base}dedupe:k`, "5", "w1"]],
    /w1 does not live under the deduplication key k/,
  ],
  "a request not counted": [({ keys }) => [["HSET", keys.cancels, "a1", ""]], /1 cancels are asked for/],
  "a request for a waiting job": [
    ({ keys }) => [
      ["HSET", keys.cancels, "w1", ""],
      ["HSET", keys.stats, "requests", "1"],
    ],
    /a cancel of w1/,
  ],
  "a due time that comes too late": [({ keys }) => [["HSET", keys.stats, "due", "9e15"]], /falls due at/],
  "a ranked job unknown": [({ keys }) => [["HDEL", keys.stats, "ranked"]], /unknown to ranked/],
  "a lost marker": [({ keys }) => [["DEL", keys.wake]], /no marker/],
  "a lost seq": [({ keys }) => [["HSET", keys.stats, "seq", "1"]], /the stream ends at/],
  "a transition told twice": [
    ({ keys }) => [["XADD", keys.events, "*", "e", "2,x\naw1\t1\t5\t5"]],
    /begins at 2/,
  ],
  "an entry that cannot be read": [({ keys }) => [["XADD", keys.events, "*", "e", "?"]], /cannot be read/],
  "a counter that is off": [({ keys }) => [["HINCRBY", keys.stats, "completed", "1"]], /completed is 2/],
  "a job that was lost": [({ keys }) => [["HINCRBY", keys.stats, "dispatched", "1"]], /jobs were dispatched/],
  "a counter that fell": [({ keys }) => [["HSET", keys.stats, "promoted", "-1"]], /promoted fell/],
  "an epoch that changed": [({ keys }) => [["HSET", keys.stats, "epoch", "e"]], /epoch changed/],
  "a tombstone not counted": [({ keys }) => [["LPUSH", keys.waiting, "left"]], /tombstones/],
  "an ended job with another time": [
    ({ keys }) => [
      ["DEL", keys.completed],
      ["LPUSH", keys.completed, "c1\t5\t"],
    ],
    /c1 ended otherwise/,
  ],
}

onBothHosts("the checker of invariants", (host) => {
  const bench = benchOf(host)

  async function busyTask(): Promise<TaskBench> {
    const task = bench.task()
    await task.dispatch("c1", "a1", "w1")
    const [first] = await task.claim(1)
    await task.fresh(task.calls.settle(task.next(), [{ ...first!, kind: "completed" }]))
    await task.claim(1)
    await task.fresh(
      task.calls.enqueue(task.next(), [
        { id: "d1", delay: 60_000 },
        { id: "r1", priority: 3 },
      ]),
    )
    await task.command("HSET", task.keys.stats, "promoted", "0")
    await task.check()
    return task
  }

  test.each(Object.entries(breaches))("sees %s", async (_name, [breach, complaint]) => {
    const task = await busyTask()
    for (const command of breach(task)) await task.command(...command)
    await expect(task.check()).rejects.toThrow(complaint)
  })

  test("sees a second end of one life", async () => {
    const task = await busyTask()
    const seq = Number(task.state!.stats.get("seq"))
    await task.command("XADD", task.keys.events, "*", "e", `${seq + 1},x\ncc1\t1,5\t5\t`)
    await task.command("HSET", task.keys.stats, "seq", String(seq + 1))
    await task.command("HINCRBY", task.keys.stats, "completed", "1")
    await expect(task.check()).rejects.toThrow(/c1 lived 1 times and ended 2 times/)
  })
})
