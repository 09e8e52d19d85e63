import { appendFileSync, closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs"

/** What a process saw or did, as it wrote it down at that moment. */
export type Observed =
  | { readonly what: "began"; readonly instance: string; readonly pid: number }
  | { readonly what: "ready" }
  /** Written before anything of the dispatch leaves the process. `tag`: whose order it was. */
  | { readonly what: "asked"; readonly task: string; readonly id: string; readonly tag?: string }
  | { readonly what: "acknowledged"; readonly task: string; readonly id: string }
  | { readonly what: "refused"; readonly task: string; readonly id: string; readonly code: string }
  | { readonly what: "awaited"; readonly task: string; readonly id: string }
  | {
      readonly what: "answered"
      readonly task: string
      readonly id: string
      /** Code of the error, or "completed". */
      readonly outcome: string
      /** The run that the result names. */
      readonly run?: string
    }
  | { readonly what: "cancel"; readonly task: string; readonly id: string; readonly answer: string }
  | {
      readonly what: "run"
      readonly task: string
      readonly id: string
      readonly attempt: number
      /** Names this run among all of all processes. */
      readonly run: string
      /** Server time of the claim, ms. */
      readonly claimed: number
    }
  | { readonly what: "ended"; readonly run: string; readonly how: "returned" | "threw" }
  | { readonly what: "aborted"; readonly run: string; readonly code: string }
  /** A heartbeat that was answered; `sent`: when it was asked for, ms. */
  | { readonly what: "beat"; readonly run: string; readonly sent: number; readonly code: string }
  /** A transition that this process made, as its observers were told. */
  | {
      readonly what: "did"
      readonly kind: string
      readonly task: string
      readonly id: string
      readonly count: number
    }
  | {
      readonly what: "heard"
      readonly task: string
      readonly name: string
      readonly id: string
      readonly seq: number
    }
  | { readonly what: "gap"; readonly task: string; readonly lost: number }
  | { readonly what: "trouble"; readonly kind: string; readonly message: string }
  | { readonly what: "unhandled"; readonly message: string }
  | { readonly what: "dying"; readonly window: string; readonly task: string; readonly id: string }
  | { readonly what: "blocked"; readonly ms: number }
  /** CPU used since the process began, us. */
  | { readonly what: "pulse"; readonly cpu: number }
  | { readonly what: "closing"; readonly timeout: number; readonly runs: number }
  | { readonly what: "closed"; readonly ms: number }
  /** What would keep the process alive after close(). */
  | { readonly what: "left"; readonly resources: readonly string[] }
  | { readonly what: "refusal"; readonly of: string; readonly code: string }

/** `at`: ms since the epoch, by the clock that the server has too; `mono`: ms by the process's monotonic clock. */
export type Observation = Observed & { readonly at: number; readonly mono: number }

export type Of<W extends Observed["what"]> = Extract<Observation, { what: W }>

/** One JSON line for each observation, written before anything else happens: kill -9 loses the line in flight at most. */
export class Diary {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, "a")
  }

  note(observed: Observed): void {
    const line = { ...observed, at: Date.now(), mono: Math.round(performance.now() * 1000) / 1000 }
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
  }
}

/** Reads a diary while it is being written. */
export class DiaryReader {
  readonly all: Observation[] = []
  readonly #path: string
  #file: number | undefined
  #read = 0
  #rest = ""

  constructor(path: string) {
    this.#path = path
    appendFileSync(path, "")
  }

  /** Everything that has been written by now. */
  get observations(): readonly Observation[] {
    this.#file ??= openSync(this.#path, "r")
    const { size } = fstatSync(this.#file)
    if (size > this.#read) {
      const bytes = Buffer.alloc(size - this.#read)
      this.#read += readSync(this.#file, bytes, 0, bytes.length, this.#read)
      const lines = (this.#rest + bytes.toString("latin1")).split("\n")
      this.#rest = lines.pop()!
      for (const line of lines) this.all.push(JSON.parse(line) as Observation)
    }
    return this.all
  }

  of<W extends Observed["what"]>(what: W): Of<W>[] {
    return this.observations.filter((line): line is Of<W> => line.what === what)
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}
