import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { type BuiltCommand, buildCommand } from "../support/command.ts"
import { root } from "../support/repository.ts"

let taskora: BuiltCommand
let work: string
beforeAll(async () => {
  taskora = await buildCommand()
}, 120_000)
afterAll(async () => {
  await taskora.remove()
  rmSync(work, { recursive: true, force: true })
})
beforeEach(() => {
  if (work !== undefined) rmSync(work, { recursive: true, force: true })
  work = mkdtempSync(join(tmpdir(), "taskora-dashboards-"))
})

const committed = [
  ...["flow", "overview", "task", "workers"].map((name) => `grafana/taskora-${name}.json`),
  ...["alerts", "rules"].map((name) => `prometheus/taskora.${name}.yml`),
]
const text = (path: string) => readFileSync(join(work, path), "utf8")
const original = (path: string) => readFileSync(join(root, "dashboards", path), "utf8")
const write = (...args: string[]) => taskora.run(["dashboards", "--out", work, ...args])

describe("taskora dashboards", { timeout: 60_000 }, () => {
  test("writes dashboards, rules and runbooks, and says which", async () => {
    const out = join(work, "deep/down")
    const { code, out: said, err } = await taskora.run(["dashboards", "--out", out])
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(said.trim().split("\n")).toEqual([...committed, "alerts.md"].map((path) => join(out, path)))
    for (const path of committed) expect(readFileSync(join(out, path), "utf8")).toBe(original(path))
    expect(readFileSync(join(out, "alerts.md"), "utf8")).toContain("## TaskoraNoWorkers")
    expect(readdirSync(join(out, "prometheus")).sort()).toEqual(["taskora.alerts.yml", "taskora.rules.yml"])
  })

  test("lets the dashboards begin with a data source, and changes nothing else", async () => {
    expect((await write("--datasource", "prom-1")).code).toBe(0)
    for (const path of committed.filter((name) => name.endsWith(".json"))) {
      const [given, plain] = [JSON.parse(text(path)), JSON.parse(original(path))]
      const [variable] = given.templating.list
      expect(variable).toMatchObject({ name: "datasource", current: { text: "prom-1", value: "prom-1" } })
      delete variable.current
      expect(given).toEqual(plain)
    }
  })

  test("links the alerts to where the runbooks are published", async () => {
    expect((await write("--runbooks", "https://wiki.example.com/alerts")).code).toBe(0)
    const alerts = text("prometheus/taskora.alerts.yml")
    expect(alerts).toContain("runbook_url: https://wiki.example.com/alerts#taskoranoworkers\n")
    expect(alerts).not.toContain("runbook_url: docs/")
  })

  test("replaces what it wrote", async () => {
    await write("--datasource", "old")
    expect((await write("--datasource", "new")).code).toBe(0)
    expect(text("grafana/taskora-task.json")).toContain('"value": "new"')
  })

  test("leaves alone what somebody changed, and writes nothing then, unless forced", async () => {
    await write()
    writeFileSync(join(work, "prometheus/taskora.alerts.yml"), "groups: []\n")
    const { code, out, err } = await write("--datasource", "new")
    expect({ code, out }).toEqual({ code: 1, out: "" })
    expect(err).toMatch(
      /^taskora dashboards: .*changed since: prometheus\/taskora\.alerts\.yml\. Nothing was written/,
    )
    expect(text("prometheus/taskora.alerts.yml")).toBe("groups: []\n")
    expect(text("grafana/taskora-task.json")).not.toContain('"value": "new"')
    expect((await write("--force")).code).toBe(0)
    expect(text("prometheus/taskora.alerts.yml")).toBe(original("prometheus/taskora.alerts.yml"))
  })

  test("leaves alone what was there before, but minds no file that is just the same", async () => {
    mkdirSync(join(work, "grafana"))
    writeFileSync(join(work, "grafana/taskora-overview.json"), original("grafana/taskora-overview.json"))
    writeFileSync(join(work, "alerts.md"), "my own\n")
    const { code, err } = await write()
    expect(code).toBe(1)
    expect(err).toMatch(/changed since: alerts\.md\. /)
    expect(existsSync(join(work, "prometheus"))).toBe(false)
  })

  test("takes nothing for its own where its record is broken", async () => {
    await write("--datasource", "old")
    writeFileSync(join(work, ".taskora.json"), "{")
    expect((await write("--datasource", "new")).code).toBe(1)
  })

  test("says what is wrong where it cannot write", async () => {
    writeFileSync(join(work, "file"), "")
    const { code, err } = await taskora.run(["dashboards", "--out", join(work, "file")])
    expect(code).toBe(1)
    expect(err).toMatch(
      /^taskora dashboards: cannot write to .*there is a file in the directory's place\. .*--out\.\n$/,
    )
  })

  test.each([
    [["--datasource", "a b"], /--datasource: give the uid of a data source/],
    [["--runbooks", "wiki"], /--runbooks: give the URL of the page/],
    [["--out", ""], /--out: give the path of a directory/],
    [["--dir", "x"], /there is no option "--dir"/],
    [["x"], /only options are taken here: --out, --datasource/],
  ])("%j: exits with 2", async (args, message) => {
    const { code, out, err } = await taskora.run(["dashboards", ...args])
    expect({ code, out }).toEqual({ code: 2, out: "" })
    expect(err).toMatch(message)
  })
})
