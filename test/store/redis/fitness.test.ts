import { describe, expect, it, vi } from "vitest"
import { sampleCalls } from "../../../src/store/redis/commands.ts"
import { ReplyError } from "../../../src/store/redis/failures.ts"
import { checkServer, type Wanted } from "../../../src/store/redis/fitness.ts"
import { StoreError } from "../../../src/store/store.ts"

const denied = new ReplyError("info: NOPERM", "refused", "NOPERM")

interface Answers {
  readonly server?: string
  readonly memory?: string
  /** Words of calls that are denied, what the server says instead, or why it says nothing. */
  readonly missing?: readonly string[] | "old" | Error
}

function check(answers: Answers, wanted: Partial<Wanted> = {}) {
  const send = async (command: string, [what, , ...calls]: readonly unknown[]) => {
    const { missing = [] } = answers
    const answer = command === "info" ? answers[what as "server" | "memory"] : missing
    if (answer === undefined) throw denied
    if (answer instanceof Error) throw answer
    if (typeof answer === "string") return answer
    return calls.flatMap((call, i) =>
      String(call)
        .split("\n")
        .some((word) => answer.includes(word))
        ? [i + 1]
        : [],
    )
  }
  return checkServer(send, { prefix: "", use: "work", tasks: ["a", "b"], ...wanted })
}

describe("the check of the server", () => {
  it("knows Redis and Valkey from 7 on", async () => {
    expect(await check({ server: "redis_version:7.0.15\r\n" })).toEqual({
      product: "redis",
      version: "7.0.15",
    })
    expect(await check({ server: "redis_version:10.1.0\r\n" })).toEqual({
      product: "redis",
      version: "10.1.0",
    })
    const valkey = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n"
    expect(await check({ server: valkey })).toEqual({ product: "valkey", version: "8.0.1" })
  })

  it("refuses older ones, also where the version may not be read", async () => {
    await expect(check({ server: "redis_version:6.2.14\r\n" })).rejects.toThrow(
      /Redis 7.0 or later.*6\.2\.14/,
    )
    await expect(check({ missing: "old" })).rejects.toThrow(/Redis 7.0 or later/)
    expect(await check({})).toEqual({ product: "redis", version: "unknown" })
  })

  it("asks a reader for what a reader needs", async () => {
    const old = new ReplyError("eval_ro: ERR unknown command 'eval_ro'", "refused", "ERR")
    await expect(check({ missing: old }, { use: "read" })).rejects.toThrow(/Redis 7.0 or later/)
    await expect(check({ missing: denied }, { use: "read" })).rejects.toMatchObject({
      code: "PERMISSION",
      missing: ["eval_ro", "evalsha_ro"],
      message: expect.stringContaining("+eval_ro +evalsha_ro %R~taskora:*"),
    })
    await expect(check({ missing: ["taskora:{*}:permissions"] }, { use: "read" })).rejects.toMatchObject({
      missing: ["%R~taskora:*"],
      message: expect.stringContaining("may not read the keys taskora:*"),
    })
  })

  it("asks a process for what it does", async () => {
    const missing = ["BZPOPMIN", "SUBSCRIBE"]
    await expect(check({ missing })).rejects.toMatchObject({ missing: ["bzpopmin", "subscribe"] })
    await check({ missing }, { use: "call" })
    const onNodes = ["ZPOPMIN", "SSUBSCRIBE", "CLUSTER"]
    await expect(check({ missing: onNodes }, { cluster: true })).rejects.toMatchObject({
      missing: ["ssubscribe", "cluster|slots", "zpopmin"],
      message: expect.stringMatching(/\+ssubscribe \+cluster\|slots \+zpopmin ~taskora:\* &taskora:\*$/),
    })
    await check({ missing: ["ZPOPMIN", "SUBSCRIBE", "PUBLISH"] }, { use: "call", cluster: true })
  })

  it("names the keys of those tasks, and the shared ones, that are closed, apart from commands", async () => {
    const missing = ["taskora:{b}:permissions", "taskora:meta", "HSCAN"]
    await expect(check({ missing })).rejects.toMatchObject({
      missing: ["~taskora:{b}:*", "~taskora:meta", "hscan"],
      message: expect.stringContaining("add to its ACL: +hscan ~taskora:{b}:* ~taskora:meta"),
    })
    const bases = ["{a}", "{b}", "{*workflows}", "control"]
    const all = bases.map((name) => `taskora:${name}:permissions`)
    const shared = ["tasks", "workers", "worker-info", "meta"].map((name) => `taskora:${name}`)
    await expect(check({ missing: [...all, ...shared] })).rejects.toMatchObject({ missing: ["~taskora:*"] })
    await check(
      { missing: ["taskora:{b}:permissions", "taskora:control:permissions"] },
      { tasks: ["a"], cluster: true },
    )
  })

  it("names EVAL where not even the check may run", async () => {
    await expect(check({ missing: denied })).rejects.toMatchObject({
      code: "PERMISSION",
      missing: ["eval", "evalsha"],
    })
  })

  it("is a lost connection where the answers stop", async () => {
    const lost = new StoreError("eval was sent and not answered", "unanswered")
    await expect(check({ missing: lost })).rejects.toMatchObject({ code: "CONNECTION" })
  })

  it("warns of eviction only where it knows of it", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue()
    await check({ memory: "maxmemory_policy:noeviction\r\n" })
    await check({})
    await check({ memory: "maxmemory_policy:volatile-ttl\r\n" }, { use: "read" })
    expect(warn).not.toHaveBeenCalled()
    await check({ memory: "maxmemory_policy:volatile-ttl\r\n" })
    expect(warn).toHaveBeenCalledOnce()
    warn.mockRestore()
  })
})

describe("the list of commands", () => {
  it("has, in a cluster, nothing that waits on keys or is heard by all nodes", () => {
    const called = sampleCalls({ use: "work", cluster: true }, "k", "c").map(([name]) => name)
    for (const name of ["BZPOPMIN", "SUBSCRIBE", "PUBLISH"]) expect(called).not.toContain(name)
    for (const name of ["ZPOPMIN", "SSUBSCRIBE", "SPUBLISH", "EXISTS"]) expect(called).toContain(name)
  })
})
