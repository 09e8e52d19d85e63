import { type Fate, StoreError } from "../store.ts"

/** Answers that say "not now": the server changed nothing, and the same call may succeed later. */
const unavailable = new Set([
  "LOADING",
  "BUSY",
  "MASTERDOWN",
  "CLUSTERDOWN",
  "TRYAGAIN",
  "MISCONF",
  "NOREPLICAS",
  "READONLY",
  "UNBLOCKED",
  "NOAUTH",
])

/** Answers after which this connection is of no use: its server was demoted, or no longer knows who we are. */
const connectionLost = new Set(["READONLY", "UNBLOCKED", "NOAUTH"])

/** What a script's own command says in a cluster where the script's slot is being moved, or not served at all. */
const notInCluster =
  /Script attempted to (access a non local key|execute a (write )?command while the cluster is down)|undeclared keys were accessed during rehashing/

/** An error that the server answered with. `code` is its first word: `NOSCRIPT`, `OOM`, `ERR` ... */
export class ReplyError extends StoreError {
  constructor(
    message: string,
    fate: Fate,
    readonly code: string,
  ) {
    super(message, fate)
  }

  get losesConnection(): boolean {
    return connectionLost.has(this.code)
  }
}

/** What a failed command means, as a `StoreError`. `what` names the command for people. */
export function classify(error: unknown, what: string): StoreError {
  // Redis 7.0 and Valkey answer a denial inside a script as plain errors.
  const text = describe(error).replace(
    /^ERR (?=The user executing the script|ACL failure in script)/,
    "NOPERM ",
  )
  if (isReply(error)) {
    const code = /^[A-Z]+\b/.exec(text)?.[0] ?? "ERR"
    const passing = unavailable.has(code) || notInCluster.test(text)
    return new ReplyError(`${what}: ${text}`, passing ? "unavailable" : "refused", code)
  }
  if (text.startsWith("Stream isn't writeable"))
    return new StoreError(`${what} was not sent: ${text}`, "unsent")
  return new StoreError(`${what} was sent and not answered: ${text}`, "unanswered")
}

export function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError"
}

/**
 * The error in one line. Errors of ioredis are never passed on as a `cause`: they carry the command's arguments,
 * payloads and passwords among them. Redis repeats arguments in one message, which is cut for the same reason.
 */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code } = error as NodeJS.ErrnoException
  const text = error.message
    .replace(/,? with args beginning with:.*$/s, "")
    // ioredis tells of its retrying, of which there is none.
    .replace(/^All sentinels are unreachable\b.*?Last error: /s, "no sentinel named the master: ")
    .trim()
  if (text === "") return code ?? error.name
  return code === undefined || text.includes(code) ? text : `${text} (${code})`
}
