import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { build } from "esbuild"
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { z } from "zod"
import { sendEmail } from "../../examples/contracts/contract.ts"
import { implementEmail } from "../../examples/contracts/worker.ts"
import { type AppOptions, defineTask, into, staticContract, ValidationError } from "../../src/index.ts"
import { hearTask } from "../support/hearing.ts"
import { onBothHosts, testApps } from "../support/hosts.ts"
import { root } from "../support/repository.ts"

onBothHosts("contracts", (host) => {
  const openApp = testApps()
  const app = (options?: Partial<AppOptions>) => openApp({ adapter: host.adapter(), ...options })
  beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}))
  afterEach(() => void vi.restoreAllMocks())

  it("one app registers, another implements: dispatch, events and results by the contract", async () => {
    const adapter = host.adapter()
    const producer = app({ adapter })
    const consumer = app({ adapter: host.sibling(adapter) })
    const emails = producer.register(sendEmail)
    const heard = hearTask(emails)
    await producer.listen()
    implementEmail(consumer)
    await consumer.start()
    const handle = emails.dispatch({ to: "ann@example.com" })
    expect(await handle.result).toEqual({ messageId: `<${handle.id}@example.com>` })
    await heard.until("completed")
    expect((await handle.getLogs())[0]).toMatchObject({ meta: { subject: "Hello" } })
    await expect(emails.dispatch({ to: "ann" })).rejects.toBeInstanceOf(ValidationError)
  })

  it("register is idempotent, and gives the task that is implemented, too", () => {
    const taskora = app()
    const task = taskora.register(sendEmail)
    expect(taskora.register(sendEmail)).toBe(task)
    expect(implementEmail(taskora)).toBe(task)
    expect(taskora.register(sendEmail)).toBe(task)
  })

  it("a registered task has no handler: its jobs wait until it is implemented, also after start()", async () => {
    const taskora = app()
    const task = taskora.register(sendEmail)
    await taskora.start()
    const handle = task.dispatch({ to: "ann@example.com" })
    await handle
    expect(await handle.getState()).toBe("waiting")
    implementEmail(taskora)
    expect(await handle.result).toMatchObject({ messageId: expect.any(String) })
  })

  it("twice implemented is an error, and so is another contract of the same name", () => {
    const taskora = app()
    implementEmail(taskora)
    expect(() => implementEmail(taskora)).toThrow(/"send-email" is implemented already/)
    const other = staticContract({ name: "send-email" })
    expect(() => taskora.register(other)).toThrow(/another contract/)
    expect(() => taskora.implement(other, () => 1)).toThrow(/implemented already/)
    taskora.task("by-name")
    expect(() => taskora.register(staticContract({ name: "by-name" }))).toThrow(/declared already/)
    expect(() => taskora.task("send-email")).toThrow(/declared already/)
  })

  it("handler, handler + options, or one object; options here come before the contract's", async () => {
    const taskora = app()
    const contract = (name: string) =>
      staticContract<number, number>({ name, timeout: "1m", retry: { attempts: 2, delay: 0 } })
    const fails = (name: string) => (n: number) => {
      throw new Error(`${name} ${n}`)
    }
    const tasks = [
      taskora.implement(contract("a"), fails("a")),
      taskora.implement(contract("b"), fails("b"), { retry: { attempts: 3, delay: 0 } }),
      taskora.implement(contract("c"), { handler: fails("c"), retry: { attempts: 1 } }),
    ]
    await taskora.start()
    const attempts: (number | undefined)[] = []
    for (const task of tasks) {
      const handle = task.dispatch(1)
      await expect(handle.result).rejects.toThrow()
      attempts.push((await handle.getJob())?.attempt)
    }
    expect(attempts).toEqual([2, 3, 1])
  })

  it("staticContract validates nothing", async () => {
    const taskora = app()
    const task = taskora.implement(staticContract<{ n: number }, number>({ name: "said" }), (data) => data.n)
    await taskora.start()
    expect(await task.dispatch({ n: "text" } as never).result).toBe("text")
  })

  it("says what is wrong with a contract, at the call that took it", () => {
    expect(() => defineTask({ name: "bad name!" })).toThrow(/task name "bad name!" is not allowed/)
    expect(() => defineTask({ name: "a", timeout: "5 min" as never })).toThrow(/"5 min" is not a duration/)
    expect(() => defineTask({ name: "a", inptu: z.string() } as never)).toThrow(/did you mean "input"/)
    expect(() => defineTask({ name: "a", handler: () => 1 } as never)).toThrow(/no option "handler"/)
    const taskora = app()
    expect(() => taskora.register({} as never)).toThrow(/is no contract; make one with defineTask/)
    expect(() => taskora.implement(sendEmail, undefined as never)).toThrow(/a handler is missing/)
    expect(() =>
      taskora.implement(sendEmail, () => ({ messageId: "" }), { input: z.string() } as never),
    ).toThrow(/input belongs into the contract/)
    // Nothing of what failed is left behind.
    implementEmail(taskora)
  })

  it("migrations belong to those who implement, and must make the contract's version", () => {
    const v2 = z.object({ n: z.number() })
    const contract = (version: number) => defineTask({ name: "versioned", input: v2, version })
    const migrate = [into(v2, (data: { m: number }) => ({ n: data.m }))]
    expect(app().implement(contract(2), ({ n }) => n, { migrate }).name).toBe("versioned")
    expect(() => app().implement(contract(3), ({ n }) => n, { migrate })).toThrow(/make version 2, not 3/)
    const unsaid = defineTask({ name: "versioned", input: v2 })
    expect(() => app().implement(unsaid, ({ n }) => n, { migrate })).toThrow(
      /write version: 2 into the contract/,
    )
  })
})

describe("a producer bundled from a contract", () => {
  mkdirSync(join(root, ".tmp"), { recursive: true })
  const place = mkdtempSync(join(root, ".tmp", "bundle-"))
  afterAll(() => rmSync(place, { recursive: true, force: true }))

  async function bundle(file: string): Promise<{ text: string; path: string; inputs: string[] }> {
    const path = join(place, `${file.replaceAll("/", "-")}.mjs`)
    const { metafile } = await build({
      entryPoints: [join(root, file)],
      outfile: path,
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node20",
      metafile: true,
      external: ["wasmoon"],
    })
    return { text: readFileSync(path, "utf8"), path, inputs: Object.keys(metafile.inputs) }
  }

  it("contains no handler code, and no Redis client where it imports none; it runs", async () => {
    const { text, path, inputs } = await bundle("examples/contracts/producer.ts")
    expect(text).not.toContain("handed to the mail server")
    expect(text).not.toMatch(/ioredis|EVALSHA/)
    expect(inputs.filter((input) => input.includes("src/store/redis/") || input.includes("ioredis"))).toEqual(
      [],
    )
    const { stdout } = await promisify(execFile)(process.execPath, [path])
    expect(stdout).toBe("16 ValidationError 1\n")
  })

  it("the look into bundles is awake", async () => {
    const worker = await bundle("examples/contracts/worker.ts")
    expect(worker.text).toContain("handed to the mail server")
    const redis = await bundle("src/redis.ts")
    expect(redis.text).toMatch(/ioredis/)
    expect(redis.inputs.some((input) => input.includes("src/store/redis/"))).toBe(true)
  })
})
