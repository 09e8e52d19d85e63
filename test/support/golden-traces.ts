import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Attributes, SpanKind, SpanStatusCode } from "@opentelemetry/api"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { expect } from "vitest"
import { root } from "./repository.ts"

const directory = join(root, "test/fixtures/traces")

/** `UPDATE_GOLDENS=1 npx vitest run test/telemetry/goldens` writes the files anew, for a reader to compare. */
const updating = process.env.UPDATE_GOLDENS === "1"

/** What differs from run to run, and what stands for it. Everything else is compared as it is. */
const durations = [
  "messaging.taskora.wait_ms",
  "messaging.taskora.recovery_ms",
  "messaging.taskora.duration_ms",
]
const instances = ["messaging.client.id", "messaging.taskora.worker"]

/** Where the spans say that the store is; the embedded one is nowhere. */
export interface Store {
  readonly address: string
  readonly ports: readonly number[]
}

/** Compares a file of `test/fixtures/traces` with all that the spans say. */
export function expectGolden(name: string, spans: readonly ReadableSpan[], store: Store | undefined): void {
  const text = new Page(spans, store).text()
  const file = join(directory, `${name}.txt`)
  if (updating) {
    if (process.env.CI) throw new Error("UPDATE_GOLDENS is for people: CI compares")
    // Written by a host that has an address, where there is one.
    if (store !== undefined || !existsSync(file) || !readFileSync(file, "utf8").includes("server.port"))
      writeFileSync(file, text)
  }
  const golden = readFileSync(file, "utf8")
  expect(text).toBe(store === undefined ? golden.replace(/^ *server\.(address|port) = .*\n/gm, "") : golden)
}

/** Text with a gap (\0) for each number in it; alike branches share the text, and each gap then has all their numbers. */
interface Branch {
  readonly text: string
  readonly gaps: readonly (readonly number[])[]
}

/**
 * Spans as text, each trace a tree. Spans are numbered level by level, and jobs in the order of their first span; siblings
 * that differ in these numbers alone are written once for all.
 */
class Page {
  readonly #spans: readonly ReadableSpan[]
  readonly #store: Store | undefined
  readonly #numbers: ReadonlyMap<string, number>
  readonly #jobs: readonly unknown[]
  readonly #instances: readonly unknown[]

  constructor(spans: readonly ReadableSpan[], store: Store | undefined) {
    this.#spans = spans
    this.#store = store
    this.#numbers = new Map(levelByLevel(spans).map((span, index) => [span.spanContext().spanId, index + 1]))
    const values = (names: readonly string[]) => {
      const all = spans.flatMap((span) => names.map((name) => span.attributes[name]))
      return [...new Set(all)].filter((value) => value !== undefined)
    }
    this.#jobs = values(["messaging.message.id"])
    this.#instances = values(instances)
  }

  text(): string {
    const traces = [...new Set(this.#spans.map((span) => span.spanContext().traceId))]
    if (traces.length === 0) return "no spans\n"
    return traces
      .map((traceId, index) => {
        const tops = this.#spans.filter(
          (span) => span.spanContext().traceId === traceId && !this.#numbers.has(parentOf(span) ?? ""),
        )
        const { text, gaps } = this.#branches(tops)
        let next = 0
        return `trace ${index + 1}\n${text.replaceAll("\0", () => ranges(gaps[next++]!))}`
      })
      .join("\n")
  }

  #branches(spans: readonly ReadableSpan[]): Branch {
    const branches = spans.map((span) => this.#branch(span))
    let text = ""
    const gaps: (readonly number[])[] = []
    while (branches.length > 0) {
      const first = branches[0]!
      const other = branches.findIndex((branch) => branch.text !== first.text)
      const alike = branches.splice(0, other === -1 ? branches.length : other)
      text += first.text
      for (const gap of first.gaps.keys()) gaps.push(alike.flatMap((branch) => branch.gaps[gap]!))
    }
    return { text: text.replaceAll(/^/gm, "  ").replace(/ +$/, ""), gaps }
  }

  #branch(span: ReadableSpan): Branch {
    const { name, kind, status, links, events } = span
    const seconds = span.endTime[0] - span.startTime[0] + (span.endTime[1] - span.startTime[1]) / 1e9
    expect(seconds, `${name} ends after it began`).toBeGreaterThanOrEqual(0)
    const lines = [`#\0 ${name} (${SpanKind[kind]}, by ${span.instrumentationScope.name})`]
    const gaps: (readonly number[])[] = [[this.#numbers.get(span.spanContext().spanId)!]]
    const say = (line: string) => lines.push(`    ${line}`)
    if (parentOf(span) !== undefined && !this.#numbers.has(parentOf(span)!)) say("below a span elsewhere")
    const linked = links.filter(({ context }) => context.spanId !== parentOf(span))
    if (linked.length < links.length) say("linked to its parent")
    if (linked.length > 0)
      say(`linked to #${ranges(linked.map(({ context }) => this.#numbers.get(context.spanId) ?? 0))}`)
    for (const { attributes = {} } of links) for (const line of this.#about(attributes)) say(`  ${line}`)
    const code = SpanStatusCode[status.code]
    if (status.code !== SpanStatusCode.UNSET) say(status.message ? `${code}: ${status.message}` : code)
    for (const line of this.#about(span.attributes)) say(line)
    const job = this.#jobs.indexOf(span.attributes["messaging.message.id"])
    if (job !== -1) gaps.push([job + 1])
    for (const event of events) {
      say(`event ${event.name}`)
      for (const line of this.#about(event.attributes ?? {})) say(`  ${line}`)
    }
    const below = this.#branches(this.#spans.filter((other) => parentOf(other) === span.spanContext().spanId))
    return { text: `${lines.join("\n")}\n${below.text}`, gaps: [...gaps, ...below.gaps] }
  }

  #about(attributes: Attributes): string[] {
    return Object.keys(attributes)
      .sort()
      .map((name) => `${name} = ${this.#shown(name, attributes[name])}`)
  }

  #shown(name: string, value: Attributes[string]): string {
    if (name === "messaging.message.id") return "<job \0>"
    if (name === "messaging.taskora.workflow") return "<workflow>"
    if (instances.includes(name)) return `<instance ${this.#instances.indexOf(value) + 1}>`
    if (durations.includes(name)) {
      expect(value, name).toBeGreaterThanOrEqual(0)
      return "<ms>"
    }
    if (name === "exception.stacktrace") {
      const [first, ...frames] = String(value).split("\n")
      expect(frames.join(), "frames").toMatch(/^ +at /)
      return `${JSON.stringify(first)} <frames>`
    }
    if (name === "server.address" || name === "server.port") {
      expect(name === "server.address" ? [this.#store?.address] : this.#store?.ports, name).toContain(value)
      return "<store>"
    }
    return JSON.stringify(value)
  }
}

/**
 * Traces by their first span, each from its top downwards, siblings in the order of their start: what is concurrent in
 * different branches may begin in any order.
 */
function levelByLevel(spans: readonly ReadableSpan[]): ReadableSpan[] {
  const present = new Set(spans.map((span) => span.spanContext().spanId))
  const traces = [...new Set(spans.map((span) => span.spanContext().traceId))]
  return traces.flatMap((traceId) => {
    const all = spans.filter((span) => span.spanContext().traceId === traceId)
    const ordered = all.filter((span) => !present.has(parentOf(span) ?? ""))
    for (const above of ordered)
      ordered.push(...all.filter((span) => parentOf(span) === above.spanContext().spanId))
    return ordered
  })
}

function parentOf(span: ReadableSpan): string | undefined {
  return span.parentSpanContext?.spanId
}

/** 1, 2, 3 and 7 are `1 to 3, 7`; 0 is a span that is not on the page. */
function ranges(numbers: readonly number[]): string {
  const parts: [number, number][] = []
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = parts.at(-1)
    if (last && number === last[1] + 1) last[1] = number
    else parts.push([number, number])
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from} to ${to}`)).join(", ")
}
