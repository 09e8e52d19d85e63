import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, vi } from "vitest"
import { questionCommands, scriptCommands } from "../../../src/store/redis/commands.ts"
import { ReplyError } from "../../../src/store/redis/failures.ts"
import { checkServer } from "../../../src/store/redis/fitness.ts"
import { scripts } from "../../../src/store/scripts.ts"
import { type Access, type Reply, StoreError } from "../../../src/store/store.ts"

const denied = new ReplyError("info: NOPERM", "refused", "NOPERM")

interface Answers {
  readonly server?: string
  readonly memory?: string
  readonly missing?: Reply | Error
}

function check(answers: Answers, access: Access = "all") {
  const send = async (command: string, [what]: readonly unknown[]) => {
    const answer = command === "info" ? answers[what as "server" | "memory"] : (answers.missing ?? [])
    if (answer === undefined) throw denied
    if (answer instanceof Error) throw answer
    return answer
  }
  return checkServer(send, { base: "taskora:", access })
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
    await expect(check({ missing: old }, "read")).rejects.toThrow(/Redis 7.0 or later/)
    await expect(check({ missing: denied }, "read")).rejects.toMatchObject({
      code: "PERMISSION",
      missing: ["eval_ro", "evalsha_ro"],
      message: expect.stringContaining("+eval_ro +evalsha_ro %R~taskora:*"),
    })
    await expect(check({ missing: ["EVAL_RO", "GET"] }, "read")).rejects.toMatchObject({
      missing: ["%R~taskora:*"],
      message: expect.stringContaining("may not read its keys"),
    })
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
    await check({ memory: "maxmemory_policy:volatile-ttl\r\n" }, "read")
    expect(warn).not.toHaveBeenCalled()
    await check({ memory: "maxmemory_policy:volatile-ttl\r\n" })
    expect(warn).toHaveBeenCalledOnce()
    warn.mockRestore()
  })
})

/** The commands that Lua texts call, by name. */
function calledBy(texts: ReadonlyMap<string, string>): string[] {
  const called = new Set<string>()
  for (const [file, whole] of texts) {
    const text = whole.replace(/--.*$/gm, "")
    const calls = text.match(/redis\.p?call\b/g) ?? []
    const named = [...text.matchAll(/redis\.p?call\(\s*"([A-Z]+)"/g)]
    expect(named.length, `every call in ${file} names its command`).toBe(calls.length)
    for (const [, name] of named) called.add(name!)
  }
  return [...called].sort()
}

describe("the list of commands", () => {
  it("is what the scripts call", () => {
    const texts = new Map<string, string>()
    for (const folder of ["lua", join("lua", "lib")])
      for (const file of readdirSync(folder).filter((name) => name.endsWith(".lua")))
        texts.set(file, readFileSync(join(folder, file), "utf8"))
    expect(scriptCommands.map((line) => line.split(" ")[0])).toEqual(calledBy(texts))
  })

  it("is, for a reader, what the scripts of its questions call", () => {
    const questions = [scripts.wire, scripts.roster, scripts.count]
    const texts = new Map(questions.map(({ name, source }) => [name, source.text]))
    expect(questionCommands.map((line) => line.split(" ")[0])).toEqual(calledBy(texts))
  })
})
