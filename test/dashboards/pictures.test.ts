import { readFileSync } from "node:fs"
import { join } from "node:path"
import { deflateSync } from "node:zlib"
import { describe, expect, test } from "vitest"
import { type Panel, readBoards, type Target } from "../../dashboards/pictures/board.ts"
import { colour, stepColour } from "../../dashboards/pictures/colours.ts"
import { apart, heatmap, inUse } from "../../dashboards/pictures/heatmap.ts"
import { boxOf, pageHeight, pageWidth } from "../../dashboards/pictures/layout.ts"
import { everyStep, lines } from "../../dashboards/pictures/lines.ts"
import { page } from "../../dashboards/pictures/page.ts"
import { ask, nameOf, type PanelData } from "../../dashboards/pictures/panel-data.ts"
import { readPng, writePng } from "../../dashboards/pictures/png.ts"
import type { Labels, Prometheus, Series } from "../../dashboards/pictures/prometheus.ts"
import { stat } from "../../dashboards/pictures/stat.ts"
import { tableRows } from "../../dashboards/pictures/table.ts"
import { format } from "../../dashboards/pictures/units.ts"
import { choose, substitute, times } from "../../dashboards/pictures/variables.ts"
import { root } from "../support/repository.ts"

const boards = readBoards(root)
const range = { from: 1000, to: 1010, step: 1 }
const labelValues = async (_: string, label: string) => [`first ${label}`, `second ${label}`]

function target(legendFormat = "", refId = "A", instant = false): Target {
  return { refId, expr: "up", legendFormat, instant }
}

function series(labels: Labels, ...values: (number | null)[]): Series {
  return { labels, points: values.map((value, i) => [range.from + i, value]) }
}

function data(...frames: PanelData["frames"]): PanelData {
  return { range, frames, exemplars: [] }
}

describe("the pictures", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8")

  // The run that is drawn has no workflows and schedules yet.
  const drawn = boards.filter(({ uid }) => uid !== "taskora-flow")
  test.each(drawn)(
    "$uid has a picture of its size, in the README, with words for who cannot see it",
    (board) => {
      const path = `docs/pictures/${board.uid}.png`
      const png = readFileSync(join(root, path))
      const { width, height, rgb } = readPng(png)
      expect([width, height]).toEqual([pageWidth, pageHeight(board.panels)])
      expect(png.length).toBeLessThan(400_000)
      const colours = new Set<number>()
      for (let i = 0; i < rgb.length; i += 3) colours.add((rgb[i]! << 16) | (rgb[i + 1]! << 8) | rgb[i + 2]!)
      expect(colours.size).toBeGreaterThan(50)
      const [, alt = ""] = new RegExp(`!\\[([^\\]]+)\\]\\(${path}\\)`).exec(readme) ?? []
      expect(alt.length).toBeGreaterThan(40)
    },
  )

  test("the README says how they are made", () => {
    expect(readme).toContain("npm run pictures")
  })
})

describe("what is put in the place of variables", () => {
  test.each(boards)("every variable of $uid has a value", async (board) => {
    const choices = new Map([...(await choose(board, labelValues)), ...times(120, 3)])
    const asked: string[] = []
    const answers = {
      range: async (query: string) => asked.push(query) && [],
      instant: async (query: string) => asked.push(query) && [],
      exemplars: async () => [],
    } as unknown as Prometheus
    for (const panel of board.panels) await ask(answers, panel, { range, choices })
    expect(asked.length).toBe(board.panels.flatMap(({ targets = [] }) => targets).length)
    expect(asked.filter((query) => query.includes("$"))).toEqual([])
  })

  test("all where that is offered, else the first value of what the variable asks for", async () => {
    const questions: string[] = []
    const board = boards.find(({ uid }) => uid === "taskora-task")!
    const choices = await choose(board, async (selector, label) => {
      questions.push(`${label} of ${selector}`)
      return ["a", "b"]
    })
    expect(choices.get("job")).toEqual({ value: ".+", text: "All" })
    expect(choices.get("task")).toEqual({ value: "a", text: "a" })
    expect(questions).toEqual([
      'task of {__name__=~"taskora_queue_jobs|taskora_jobs_dispatched_total", job=~".+", prefix=~".*"}',
    ])
  })

  test("both ways to write one, and none that is unknown", () => {
    const choices = new Map([["job", { value: "x", text: "x" }]])
    expect(substitute(`$job + \${job}s`, choices)).toBe("x + xs")
    expect(() => substitute("$jobs", choices)).toThrow("$jobs has no value in: $jobs")
  })

  test("windows of four scrapes, and the whole range", () => {
    expect(substitute("[$__rate_interval] [$__range]", times(119.5, 3))).toBe("[12s] [120s]")
  })

  test("labels in legends", () => {
    expect(nameOf("{{a}}, {{b}}: {{none}}", { a: "1", b: "2" })).toBe("1, 2: ")
  })
})

describe("units", () => {
  test.each<[string | undefined, number, string]>([
    ["s", 0.000_25, "250 µs"],
    ["s", 0.0125, "12.5 ms"],
    ["s", 59.94, "59.9 s"],
    ["s", 60, "1 min"],
    ["s", 5400, "1.5 hours"],
    ["s", 0, "0 s"],
    ["s", Number.POSITIVE_INFINITY, "∞"],
    ["ops", 1234, "1.23 K ops/s"],
    ["ops", 0.333_333, "0.333 ops/s"],
    ["short", 999.6, "1000"],
    ["short", 2_500_000, "2.5 Mil"],
    ["percentunit", 0.0161, "1.61%"],
    ["percentunit", -0.612, "-61.2%"],
    ["bytes", 1536, "1.5 KiB"],
    ["bytes", 12, "12 B"],
    ["none", 14.4, "14.4"],
    [undefined, 3, "3"],
  ])("%s: %d is %s", (unit, value, text) => {
    expect(format(unit, value)).toBe(text)
  })

  test("every unit of every panel is known", () => {
    const units = boards.flatMap(({ panels }) => panels.map(({ fieldConfig }) => fieldConfig?.defaults.unit))
    for (const unit of units) expect(format(unit, 1)).not.toBe("")
    expect(() => format("furlongs", 1)).toThrow("the unit furlongs is unknown")
  })
})

describe("the layout", () => {
  test.each(boards)("the panels of $uid lie side by side, within the page", ({ panels }) => {
    const boxes = panels.map(({ gridPos }) => boxOf(gridPos))
    for (const { left, top, width, height } of boxes) {
      expect(left).toBeGreaterThan(0)
      expect(left + width).toBeLessThan(pageWidth)
      expect(top + height).toBeLessThan(pageHeight(panels))
    }
    const overlapping = boxes.filter((a, i) =>
      boxes.some(
        (b, j) =>
          i !== j &&
          a.left < b.left + b.width &&
          b.left < a.left + a.width &&
          a.top < b.top + b.height &&
          b.top < a.top + a.height,
      ),
    )
    expect(overlapping).toEqual([])
  })

  test("whole rows are as wide as what they hold", () => {
    const whole = boxOf({ x: 0, y: 0, w: 24, h: 1 })
    const last = boxOf({ x: 21, y: 0, w: 3, h: 1 })
    expect(last.left + last.width).toBe(whole.left + whole.width)
  })
})

describe("what is drawn", () => {
  const size = { width: 500, height: 260 }
  const panel = (type: Panel["type"], more: Partial<Panel> = {}): Panel => ({
    type,
    title: "Some <panel>",
    gridPos: { x: 0, y: 0, w: 24, h: 8 },
    fieldConfig: { defaults: { unit: "s" }, overrides: [] },
    ...more,
  })

  test("lines, with last and greatest values in the legend", () => {
    const html = lines(
      panel("timeseries"),
      data({ target: target("{{task}}"), series: [series({ task: "a<b" }, 1, 9, 4)] }),
      size,
    )
    expect(html).toContain("a&#60;b</td><td>4 s</td><td>9 s</td>")
    expect(html.match(/<path/g)?.length).toBeGreaterThan(2)
  })

  test("what has no room in the legend is counted", () => {
    const many = Array.from({ length: 9 }, (_, i) => series({ task: `t${i}` }, i))
    const html = lines(panel("timeseries"), data({ target: target("{{task}}"), series: many }), size)
    const rows = html.match(/<i style/g)?.length ?? 0
    expect(rows).toBeGreaterThan(1)
    expect(html).toContain(`and ${9 - rows} more`)
  })

  test("thresholds as dashed lines where the panel says so", () => {
    const thresholds = {
      steps: [
        { value: null, color: "green" },
        { value: 2, color: "yellow" },
      ],
    }
    const of = (custom: object) =>
      lines(
        panel("timeseries", { fieldConfig: { defaults: { thresholds, custom }, overrides: [] } }),
        data({ target: target(), series: [series({}, 1, 3)] }),
        size,
      )
    expect(of({ thresholdsStyle: { mode: "dashed" } })).toContain("stroke-dasharray")
    expect(of({})).not.toContain("stroke-dasharray")
  })

  test("gaps and infinity are no points", () => {
    const points = everyStep({ ...series({}, 1, null, Number.POSITIVE_INFINITY, 4), name: "" }, range)
    expect(points.map(([, value]) => value)).toEqual([1, null, null, 4, ...Array(7).fill(null)])
  })

  test("a stat takes the colour of the step that its last value reaches, or its word", () => {
    const steps = [
      { value: null, color: "green" },
      { value: 1, color: "yellow" },
      { value: 3, color: "red" },
    ]
    const [green, yellow, red] = steps.map(({ color }) => colour(color))
    const reached = [-1, 0, 1, 2.9, 3].map((value) => stepColour(steps, value))
    expect(reached).toEqual([green, green, yellow, yellow, red])
    const field = {
      unit: "s",
      thresholds: { steps },
      mappings: [{ options: { "1": { text: "up", color: "green" } } }],
    }
    const html = (...values: (number | null)[]) =>
      stat(
        panel("stat", { fieldConfig: { defaults: field, overrides: [] } }),
        data({ target: target("{{a}}"), series: [series({ a: "x" }, ...values)] }),
        size,
      )
    expect(html(7, 5, null)).toContain(">5 s</b>")
    expect(html(7, 5)).toContain(stepColour(steps, 5))
    expect(html(1)).toContain(">up</b>")
    expect(html(1)).toContain(stepColour(steps, 0))
  })

  test("a stat without decimals shows whole jobs, as the boards ask where they count", () => {
    const counting = boards.flatMap(({ panels }) => panels).filter(({ title }) => title === "Stalled jobs")
    expect(counting.map(({ fieldConfig }) => fieldConfig?.defaults.decimals)).toEqual([0])
    const found = data({ target: target("{{a}}"), series: [series({ a: "x" }, 8.05)] })
    expect(stat(counting[0]!, found, size)).toContain(">8</b>")
  })

  test("several values in one stat have their names", () => {
    const html = stat(
      panel("stat"),
      data({ target: target("{{a}}"), series: [series({ a: "x" }, 1), series({ a: "y" }, 2)] }),
      size,
    )
    expect(html).toContain("<small>x</small>")
    expect(html).toContain("<small>y</small>")
  })

  test("a heatmap counts what lies between two bounds, and shows the bounds in use", () => {
    const buckets = apart([
      series({ le: "+Inf" }, 9),
      series({ le: "0.1" }, 2),
      series({ le: "0.5" }, 7),
      series({ le: "0.01" }, 0),
      series({ le: "0.001" }, 0),
    ])
    expect(buckets.map(({ le, points }) => [le, points[0]?.[1]])).toEqual([
      [0.001, 0],
      [0.01, 0],
      [0.1, 2],
      [0.5, 5],
      [Number.POSITIVE_INFINITY, 2],
    ])
    expect(inUse(buckets).map(({ le }) => le)).toEqual([0.01, 0.1, 0.5, Number.POSITIVE_INFINITY])
  })

  test("a heatmap has a cell for each bucket in use, and a dot for each exemplar", () => {
    const frames = [{ target: target(), series: [series({ le: "0.1" }, 2, 3), series({ le: "+Inf" }, 2, 4)] }]
    const draw = (exemplars: PanelData["exemplars"]) =>
      heatmap(
        panel("heatmap", { options: { exemplars: { color: "#ff00ff" } } }),
        { range, frames, exemplars },
        size,
      )
    expect(draw([])).not.toContain("#ff00ff")
    expect(
      draw([
        { time: 1001, value: 0.05 },
        { time: 1000, value: 7 },
      ]).match(/fill="#ff00ff"/g),
    ).toHaveLength(2)
    expect(draw([])).toContain("100 ms")
  })

  test("a table is joined, renamed and sorted as the panel says", () => {
    const rows = tableRows(
      panel("table", {
        transformations: [
          { id: "joinByField", options: { byField: "task" } },
          {
            id: "organize",
            options: {
              excludeByName: { Time: true },
              renameByName: { "Value #A": "Ratio", "Value #B": "Rate" },
            },
          },
        ],
        options: { sortBy: [{ displayName: "Ratio", desc: true }] },
      }),
      data(
        { target: target("", "A", true), series: [series({ task: "a" }, 1), series({ task: "b" }, 2)] },
        { target: target("", "B", true), series: [series({ task: "b" }, 20), series({ task: "a" }, 10)] },
      ),
    )
    expect(rows.map((row) => Object.fromEntries(row))).toEqual([
      { task: "b", Ratio: 2, Rate: 20 },
      { task: "a", Ratio: 1, Rate: 10 },
    ])
  })

  test.each(boards)(
    "a page holds each panel of $uid by its title, and says where there is nothing",
    async (board) => {
      const choices = await choose(board, labelValues)
      const answers = new Map(board.panels.map((one) => [one, data()] as const))
      const html = page(board, answers, { choices, range })
      const titles = [...html.matchAll(/<h[23][^>]*>([^<]*)</g)].map(([, title]) => title)
      expect(titles).toEqual(board.panels.map(({ title }) => title.replaceAll("&", "&#38;")))
      expect(html.match(/No data/g)).toHaveLength(board.panels.filter(({ type }) => type !== "row").length)
      expect(html).not.toMatch(/<script|https?:/)
    },
  )
})

test("a PNG keeps its colours, but for those that are hardly seen", () => {
  const [width, height] = [40, 12]
  const rgb = new Uint8Array(width * height * 3)
  // Two of each colour but for a shade: 480 in all, more than there is room for.
  for (let i = 0; i < width * height; i++)
    rgb.set([Math.floor((i % width) / 2) * 12 + (i % 2), Math.floor(i / width) * 20, 40], i * 3)
  const again = readPng(writePng({ width, height, rgb }))
  expect([again.width, again.height]).toEqual([width, height])
  const off = rgb.map((value, i) => Math.abs(value - again.rgb[i]!))
  expect(Math.max(...off)).toBe(1)
  const flat = new Uint8Array(30).fill(200)
  expect(readPng(writePng({ width: 5, height: 2, rgb: flat })).rgb).toEqual(flat)
  expect(() => readPng(Buffer.from("no picture"))).toThrow()
})

test.each([3, 4])("a PNG of %d bytes a pixel is read, whatever its lines were filtered by", (channels) => {
  const [width, height] = [7, 5]
  const value = (x: number, y: number, c: number) => (c === 3 ? 255 : (x * 37 + y * 91 + c * 53) % 256)
  const at = (x: number, y: number, c: number) => (x < 0 || y < 0 ? 0 : value(x, y, c))
  const nearest = (l: number, a: number, c: number) =>
    [l, a, c].reduce((best, one) => (Math.abs(l + a - c - one) < Math.abs(l + a - c - best) ? one : best))
  const lines = Array.from({ length: height }, (_, y) => {
    // The first line with the first filter, and so on: all five are in use.
    const line = [y]
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++) {
        const [left, above, corner] = [at(x - 1, y, c), at(x, y - 1, c), at(x - 1, y - 1, c)]
        const guess = [0, left, above, (left + above) >> 1, nearest(left, above, corner)][y]!
        line.push((value(x, y, c) - guess + 256) % 256)
      }
    return line
  })
  const header = Buffer.from([0, 0, 0, width, 0, 0, 0, height, 8, channels === 3 ? 2 : 6, 0, 0, 0])
  const part = (type: string, content: Buffer) =>
    Buffer.concat([Buffer.from([0, 0, 0, content.length]), Buffer.from(type), content, Buffer.alloc(4)])
  const png = Buffer.concat([
    Buffer.from("89504e470d0a1a0a", "hex"),
    part("IHDR", header),
    part("IDAT", deflateSync(Buffer.from(lines.flat()))),
    part("IEND", Buffer.alloc(0)),
  ])
  const { rgb } = readPng(png)
  const expected = lines.flatMap((_, y) =>
    Array.from({ length: width }, (_, x) => [0, 1, 2].map((c) => value(x, y, c))).flat(),
  )
  expect([...rgb]).toEqual(expected)
})
