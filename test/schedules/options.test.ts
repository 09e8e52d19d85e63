import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { App } from "../../src/index.ts"
import { Cluster, thrown } from "./support.ts"

let cluster: Cluster
let app: App
beforeEach(() => {
  cluster = new Cluster()
  app = cluster.app()
  app.task("report", () => {})
})
afterEach(() => cluster.end())

const declare = (options: object, name = "s") => thrown(() => app.schedule(name, options as never))

describe("a schedule that cannot be is refused at the call", () => {
  const task = "report"
  test.each<[string, object, RegExp]>([
    ["neither every nor cron", { task }, /every or cron is missing; give one, such as every: "5m"/],
    ["both", { task, every: "1s", cron: "* * * * *" }, /give every or cron, not both/],
    ["a bad duration", { task, every: "1 second" }, /every: "1 second" is not a duration/],
    ["too short an interval", { task, every: 99 }, /every: 99 is not a duration of at least 100 ms/],
    [
      "a cron that is none",
      { task, cron: "every day" },
      /cron "every day" cannot be read: .*such as "30 2 \* \* \*"/,
    ],
    [
      "a field out of range",
      { task, cron: "61 * * * *" },
      /cron "61 \* \* \* \*" cannot be read: Invalid value for minute/,
    ],
    ["a date", { task, cron: "2027-01-01T00:00:00" }, /cron "2027-01-01T00:00:00" cannot be read/],
    ["a cron of another type", { task, cron: 5 }, /cron 5 cannot be read/],
    [
      "an unknown time zone",
      { task, cron: "* * * * *", timezone: "Mars/Base" },
      /time zone "Mars\/Base" is unknown; give a name such as "Europe\/Berlin"/,
    ],
    ["a time zone with every", { task, every: "1s", timezone: "UTC" }, /timezone belongs to cron/],
    [
      "a task that is not declared",
      { task: "nope", every: "1s" },
      /task "nope" is not declared in this app; declare it first/,
    ],
    ["no task", { every: "1s" }, /task must be a task or its name, not undefined/],
    [
      "an unknown onMissed",
      { task, every: "1s", onMissed: "later" },
      /onMissed must be "skip", "catch-up" or "catch-up-limit:N".*not "later"/,
    ],
    [
      "a limit of none",
      { task, every: "1s", onMissed: "catch-up-limit:0" },
      /catch-up-limit:N" with N from 1 to 500/,
    ],
    [
      "overlap that is no boolean",
      { task, every: "1s", overlap: "no" },
      /overlap must be true or false, not "no"/,
    ],
    [
      "jitter as long as the interval",
      { task, every: "1s", jitter: "1s" },
      /jitter must be shorter than every \(1000 ms\)/,
    ],
    ["an unknown option", { task, evry: "1s" }, /there is no option "evry"; did you mean "every"/],
    [
      "data that cannot be carried",
      { task, every: "1s", data: () => 1 },
      /data of a schedule of task "report" could not be serialized/,
    ],
  ])("%s", (_, options, message) => {
    expect(declare(options).message).toMatch(message)
  })

  test("a name that is not allowed, or taken", () => {
    expect(declare({ task, every: "1s" }, "two words").message).toMatch(
      /schedule name "two words" is not allowed/,
    )
    app.schedule("once", { task, every: "1s" })
    expect(declare({ task, every: "1s" }, "once").message).toMatch(/schedule "once" is declared already/)
  })

  test("data that is too long", () => {
    const error = declare({ task, every: "1s", data: "x".repeat(1_048_576) })
    expect([error.code, error.message]).toEqual([
      "PAYLOAD_TOO_LARGE",
      expect.stringContaining("limits.payloadBytes"),
    ])
  })

  test("one written in its task, which then is not declared", () => {
    const inline = (schedule: object) => () =>
      app.task("inline", { handler() {}, schedule: schedule as never })
    expect(thrown(inline({ cron: "nonsense" })).message).toMatch(
      /schedule "inline": cron "nonsense" cannot be read/,
    )
    expect(thrown(inline({ every: "1s", task: "report" })).message).toMatch(/there is no option "task"/)
    app.task("inline", () => {})
  })

  test("declared on an app that is closed", async () => {
    await cluster.close(app)
    expect(declare({ task, every: "1s" }).code).toBe("CLOSED")
  })
})

test("types: data is the task's, times are one of the two", () => {
  const typed = app.task<{ n: number }>("typed")
  app.schedule("t1", { task: typed, every: "1s", data: { n: 1 } })
  // @ts-expect-error the task takes { n }
  app.schedule("t2", { task: typed, every: "1s", data: { m: 1 } })
  // @ts-expect-error not both
  thrown(() => app.schedule("t3", { task: typed, every: "1s", cron: "* * * * *" }))
  app.task("t4", { handler: (data: number) => data, schedule: { cron: "@daily", data: 5 } })
  // @ts-expect-error the handler takes a number
  app.task("t5", { handler: (data: number) => data, schedule: { cron: "@daily", data: "5" } })
})
