import { describe, expect, test } from "vitest"
import { type PrometheusOptions, prometheus } from "../../exporters/prometheus.ts"

describe("prometheus()", () => {
  test.each([
    [{ prot: 1 }, /"prot"; did you mean "port"/],
    [{ port: 65_536 }, /option "port" is 65536/],
    [{ port: -1 }, /option "port" is -1/],
    [{ port: 1.5 }, /option "port"/],
    [{ port: "9464" }, /option "port" is "9464"/],
    [{ port: true }, /option "port"/],
    [{ host: "" }, /option "host"/],
    [{ path: "metrics" }, /option "path" is "metrics"/],
    [{ path: "/a b" }, /option "path"/],
    [{ path: "/a?b" }, /option "path"/],
    [{ path: "/healthz" }, /option "path"/],
    [{ exemplar: "yes" }, /option "exemplar"/],
    [{ defaultMetrics: 1 }, /option "defaultMetrics"/],
    [{ queueGauges: null }, /option "queueGauges"/],
    [{ labels: { "a-b": "x" } }, /option "labels.a-b"/],
    [{ labels: { __name__: "x" } }, /option "labels.__name__"/],
    [{ labels: { task: "x" } }, /"labels.task".*no metric of taskora/],
    [{ labels: { error_type: "x" } }, /option "labels.error_type"/],
    [{ labels: { le: "x" } }, /option "labels.le"/],
    [{ labels: { a: 1 } }, /option "labels.a" is 1/],
    [{ labels: ["a"] }, /option "labels"/],
    [{ buckets: { "taskora.job.duratoin": [1] } }, /did you mean "taskora.job.duration"/],
    [{ buckets: { "taskora.job.duration": [] } }, /option "buckets.taskora.job.duration"/],
    [{ buckets: { "taskora.job.duration": [2, 1] } }, /rising/],
    [{ buckets: { "taskora.job.duration": [1, Infinity] } }, /finite/],
    [{ buckets: { "taskora.job.duration": Array.from({ length: 101 }, (_, i) => i) } }, /1 to 100/],
    [{ buckets: [1, 2] }, /buckets/],
    [{ taskLimit: 0 }, /option "taskLimit" is 0/],
    [{ taskLimit: 20_000 }, /option "taskLimit"/],
  ])("refuses %j", (options, message) => {
    expect(() => prometheus(options as PrometheusOptions)).toThrow(message)
  })

  test.each(["", "two words", "né", "line\nbreak", 7])(
    "refuses the token %j without repeating it",
    (token) => {
      const bearerToken = token as string
      expect(() => prometheus({ bearerToken })).toThrow(/option "bearerToken" is "\(hidden\)"/)
    },
  )

  test("takes undefined as the default", () => {
    const options = { port: undefined, bearerToken: undefined } as unknown as PrometheusOptions
    expect(() => prometheus(options)).not.toThrow()
  })
})
