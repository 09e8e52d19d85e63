import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, vi } from "vitest"
import { scriptCommands } from "../../../src/store/redis/commands.ts"
import { ReplyError } from "../../../src/store/redis/failures.ts"
import { checkServer } from "../../../src/store/redis/fitness.ts"
import { type Reply, StoreError } from "../../../src/store/store.ts"

const denied = new ReplyError("info: NOPERM", "refused", "NOPERM")

function check(answers: { server?: string; memory?: string; missing?: Reply | Error }) {
  return checkServer(async (command, [what]) => {
    const answer = command === "eval" ? (answers.missing ?? []) : answers[what as "server" | "memory"]
    if (answer === undefined) throw denied
    if (answer instanceof Error) throw answer
    return answer
  }, "taskora:")
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
    expect(warn).not.toHaveBeenCalled()
    await check({ memory: "maxmemory_policy:volatile-ttl\r\n" })
    expect(warn).toHaveBeenCalledOnce()
    warn.mockRestore()
  })
})

describe("the list of commands", () => {
  it("is what the scripts call", () => {
    const called = new Set<string>()
    for (const folder of ["lua", join("lua", "lib")]) {
      for (const file of readdirSync(folder).filter((name) => name.endsWith(".lua"))) {
        const text = readFileSync(join(folder, file), "utf8").replace(/--.*$/gm, "")
        const calls = text.match(/redis\.p?call\b/g) ?? []
        const named = [...text.matchAll(/redis\.p?call\(\s*"([A-Z]+)"/g)]
        expect(named.length, `every call in ${file} names its command`).toBe(calls.length)
        for (const [, name] of named) called.add(name!)
      }
    }
    expect(scriptCommands.map((line) => line.split(" ")[0])).toEqual([...called].sort())
  })
})
