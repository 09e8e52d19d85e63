import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { version } from "../../src/version.ts"
import { type BuiltCommand, buildCommand } from "../support/command.ts"

let taskora: BuiltCommand
beforeAll(async () => {
  taskora = await buildCommand()
}, 60_000)
afterAll(() => taskora.remove())

const secret = "hunter2"

describe("the command taskora", () => {
  test("tells its version", async () => {
    expect(await taskora.run(["--version"])).toEqual({ code: 0, out: `${version}\n`, err: "" })
    expect((await taskora.run(["-v"])).out).toBe(`${version}\n`)
  })

  test("lists its commands, each with a line, and each has a help of its own", async () => {
    const { code, out } = await taskora.run(["--help"])
    expect(code).toBe(0)
    expect((await taskora.run(["-h"])).out).toBe(out)
    const names = [...out.matchAll(/^ {2}(\w+) {2,}\S/gm)].map(([, name]) => name!)
    expect(names).toContain("exporter")
    for (const name of names) {
      const help = await taskora.run([name, "--help"])
      expect(help).toMatchObject({ code: 0, err: "" })
      expect(help.out).toContain(`Usage: taskora ${name}`)
      expect((await taskora.run([name, "-h"])).out).toBe(help.out)
    }
  })

  test.each([
    [[], /^taskora: which command\?\ntaskora --help says more\.\n$/],
    [["exprter"], /^taskora: there is no command "exprter"; did you mean "exporter"\?/],
    [["toString"], /^taskora: there is no command "toString"/],
    [[`redis://:${secret}@localhost`], /^taskora: there is no such command/],
  ])("%j: says what is wrong, and exits with 2", async (args, message) => {
    const { code, out, err } = await taskora.run(args)
    expect({ code, out }).toEqual({ code: 2, out: "" })
    expect(err).toMatch(message)
    expect(err).not.toContain(secret)
  })
})

describe("taskora exporter, given wrong arguments", () => {
  const redis = ["--redis", "redis://localhost"]
  test.each<[string[], NodeJS.ProcessEnv, RegExp]>([
    [[], {}, /where is Redis\? Give --redis URL, or TASKORA_REDIS_URL/],
    [["--redis"], {}, /'--redis <value>' argument missing/],
    [["--rediss", "x"], {}, /there is no option "--rediss"; did you mean "--redis"\?/],
    [["-x"], {}, /there is no option "-x"/],
    [["--help=3"], {}, /does not take an argument/],
    [[`redis://:${secret}@localhost`], {}, /only options are taken here: --redis, --prefix/],
    [["--redis", "localhost:6379"], {}, /--redis: the URL does not begin with redis:/],
    [["--redis", `redis://:${secret}%@localhost`], {}, /--redis: the URL has a % in the user or password/],
    [[], { TASKORA_REDIS_URL: `http://${secret}` }, /TASKORA_REDIS_URL: the URL does not begin with redis:/],
    [[...redis, "--prefix", "a{b"], {}, /--prefix: prefix "a\{b" is not allowed/],
    [[...redis, "--listen", "9464"], {}, /--listen: give an address and a port, such as 127\.0\.0\.1:9464/],
    [[...redis, "--listen", "localhost:70000"], {}, /--listen: give an address and a port/],
    [[...redis, "--listen", "::1:9464"], {}, /--listen: give an address and a port.*\[::1\]:9464/],
    [[...redis, "--task-limit", "0"], {}, /--task-limit: give a whole number from 1 to 10000/],
    [[...redis, "--otlp", "localhost:4318"], {}, /--otlp: this is no http\(s\) URL/],
    [redis, { TASKORA_METRICS_TOKEN: "" }, /TASKORA_METRICS_TOKEN: option "bearerToken" is .*hidden/],
    [redis, { TASKORA_METRICS_TOKEN: `${secret} ü` }, /TASKORA_METRICS_TOKEN: .*visible ASCII/],
  ])("%j %j", async (args, env, message) => {
    const { code, out, err } = await taskora.run(["exporter", ...args], env)
    expect(err).toMatch(message)
    expect({ code, out }).toEqual({ code: 2, out: "" })
    expect(err).toMatch(/^taskora exporter: .*\ntaskora exporter --help says more\.\n$/)
    expect(err).not.toContain(secret)
  })
})
