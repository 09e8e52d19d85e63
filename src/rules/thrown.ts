/** What was thrown, made safe: anything can be thrown, and its getters can throw too. */
export interface Thrown {
  readonly name: string
  readonly message: string
  readonly stack: string
}

const messageBytes = 4096
const stackBytes = 16_384

/** Describes a thrown value; never throws itself. Messages are cut at 4 KiB and stacks at 16 KiB. */
export function describeThrown(thrown: unknown): Thrown {
  if (read(() => thrown instanceof Error) || isErrorLike(thrown)) {
    const name = text(() => (thrown as Error).name) || "Error"
    const message = cut(
      text(() => (thrown as Error).message),
      messageBytes,
    )
    const stack = cut(
      text(() => (thrown as Error).stack),
      stackBytes,
    )
    return { name: cut(name, 256), message, stack: stack || `${name}: ${message}` }
  }
  const shown = `thrown value: ${show(thrown)}`
  return { name: "Error", message: cut(shown, messageBytes), stack: cut(shown, stackBytes) }
}

/** What was thrown, or an error in its place where it is a proxy that cannot even be asked for its class. */
export function tame(thrown: unknown): unknown {
  try {
    void (thrown instanceof Error)
    return thrown
  } catch {
    // Said in its place: it would throw again wherever it is looked at.
    return new Error("thrown value: an object that cannot be inspected")
  }
}

/** The class name of what was thrown, for labels and spans. */
export function errorType(thrown: unknown): string {
  const name = text(() => (thrown as Error)?.constructor?.name)
  const own = text(() => (thrown as Error)?.name)
  return (own && own !== "Error" ? own : name && name !== "Object" ? name : own) || "Error"
}

/** Cuts text to a number of UTF-8 bytes, saying so, and mends what is not well formed. */
export function cut(value: string, bytes: number): string {
  const whole = value.toWellFormed()
  if (whole.length * 3 <= bytes || Buffer.byteLength(whole) <= bytes) return whole
  const mark = "… (cut)"
  const kept = Buffer.from(whole.slice(0, bytes))
    .subarray(0, bytes - Buffer.byteLength(mark))
    .toString("utf8")
  return kept.replace(/\ufffd+$/, "") + mark
}

function isErrorLike(value: unknown): boolean {
  return (
    typeof value === "object" && value !== null && typeof read(() => (value as Error).message) === "string"
  )
}

function text(get: () => unknown): string {
  const value = read(get)
  return typeof value === "string" ? value : ""
}

function read(get: () => unknown): unknown {
  try {
    return get()
  } catch {
    // A getter of the user's that throws has nothing to tell.
    return undefined
  }
}

function show(value: unknown): string {
  if (typeof value === "string") return value
  if (typeof value === "object" && value !== null) return text(() => JSON.stringify(value)) || "an object"
  return text(() => String(value)) || typeof value
}
