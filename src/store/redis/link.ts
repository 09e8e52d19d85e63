import type { Redis } from "ioredis"
import { systemClock, type Timer } from "../../model/clock.ts"
import { type Reply, StoreError } from "../store.ts"
import { classify, describe, isReply, ReplyError } from "./failures.ts"
import { openingMs } from "./target.ts"

/** Why a link ended. */
export interface Ending {
  readonly message: string
  /** First word of the server's answer, where it was one that ended the link. */
  readonly code?: string
  /** The server answered the handshake with an error, or has a certificate that is not trusted: trying again is unlikely to help. */
  readonly refused?: true
}

/** A command that is harmless on a key that never exists. */
export type Probe = readonly [command: "del" | "get", key: string]

export interface LinkListeners {
  /** What the server is asked before it counts as up. */
  readonly probe: Probe
  /** The server has answered: commands can be sent. */
  up(): void
  /** Called once, for whatever reason, also when it was never up. */
  ended(ending: Ending): void
  message(channel: string, text: string): void
  /** The server has ended subscriptions, for their slot is no longer its own. */
  slotLeft(): void
}

interface Call {
  readonly what: string
  readonly deadline: number
  readonly reject: (error: StoreError) => void
}

const probeAgainMs = 100
/** Without a single byte for so long, after an answer was found to be overdue, a socket is taken for half-open. */
const silenceMs = 1_000

/** One client on one socket: from connecting to the socket's end, never again. */
export class Link {
  #state: "opening" | "up" | "ended" = "opening"
  readonly #client: Redis
  readonly #on: LinkListeners
  readonly #calls = new Set<Call>()
  #opening: Timer
  #watchdog: Timer
  #lookAt = 0
  /** Bytes that had been read when an answer was found to be overdue. */
  #overdueAt: number | undefined
  #lastError: string | undefined
  /** A command of ours has been answered. */
  served = false

  constructor(client: Redis, on: LinkListeners) {
    this.#client = client
    this.#on = on
    client.on("error", (error) => this.#note(error))
    client.on("ready", () => void this.#probe())
    client.on("end", () => this.end({ message: this.#lastError ?? this.#closedText() }))
    client.on("message", (channel, text) => on.message(channel, text))
    client.on("smessage", (channel, text) => on.message(channel, text))
    client.on("moved", () => on.slotLeft())
    this.#limitOpening()
    client.connect().catch((error: unknown) => {
      // Reported by "end" too, but for what keeps ioredis from trying at all.
      this.#lastError ??= describe(error)
    })
  }

  get isUp(): boolean {
    return this.#state === "up"
  }

  /** What keeps it from being up, as far as known. */
  get trouble(): string | undefined {
    return this.#lastError
  }

  /** Why nothing may have come back so far, for people. */
  get silence(): string {
    return this.#client.options.tls === undefined || this.#state !== "opening"
      ? ""
      : "; does this port speak TLS?"
  }

  #closedText(): string {
    const plain = this.#state === "opening" && this.#client.options.tls === undefined
    return `the connection was closed${plain ? "; does it want TLS (rediss://)?" : ""}`
  }

  /** Rejects with a `StoreError`. `answerMs`: without an answer for so long the socket is destroyed. */
  send(
    command: string,
    args: readonly (string | number)[],
    answerMs: number,
    what = command,
  ): Promise<Reply> {
    if (this.#state !== "up")
      return Promise.reject(new StoreError(`${what} was not sent: not connected`, "unsent"))
    return this.#call(command, args, answerMs, what)
  }

  #call(command: string, args: readonly (string | number)[], answerMs: number, what: string): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const call: Call = { what, deadline: systemClock.monotonic() + answerMs, reject }
      const sent = this.#client.call(command, args as (string | number)[])
      this.#calls.add(call)
      sent.then(
        (reply) => {
          this.#calls.delete(call)
          if (this.#state === "up") this.served = true
          resolve(reply as Reply)
        },
        (error: unknown) => {
          this.#calls.delete(call)
          const failure = classify(error, what)
          reject(failure)
          if (this.#state === "up" && failure instanceof ReplyError && failure.losesConnection) {
            this.end({ message: failure.message, code: failure.code })
          }
        },
      )
      this.#watch(call)
    })
  }

  /**
   * `ready` is not enough: a server that loads its data, or an older ioredis before AUTH is answered, is ready too. Who
   * wants to write deletes a key that does not exist, since a replica answers everything but a write.
   */
  async #probe(): Promise<void> {
    try {
      const [command, key] = this.#on.probe
      await this.#call(command, [key], openingMs, "probe")
    } catch (error) {
      if (this.#state !== "opening") return
      if (isPassing(error) && !besideTheQuestion.has(error.code)) {
        this.#lastError = error.message
        this.#limitOpening()
        systemClock.setTimeout(() => void this.#probe(), probeAgainMs)
        return
      }
      if (!(error instanceof ReplyError && besideTheQuestion.has(error.code)))
        return this.end(endingOf(error))
    }
    if (this.#state !== "opening") return
    this.#state = "up"
    this.#lastError = undefined
    systemClock.clearTimeout(this.#opening)
    systemClock.clearTimeout(this.#watchdog)
    this.#watchdog = undefined
    this.#on.up()
  }

  #note(error: Error): void {
    // What ioredis 5 makes of a subscription that the server ends by itself; ioredis 6 says "moved".
    if (this.#state === "up" && error.message.startsWith("Command queue state error")) {
      this.#on.slotLeft()
      return
    }
    this.#lastError = describe(error)
    if (this.#state === "opening" && isDistrust(error)) {
      this.end({ message: this.#lastError, code: "TLS", refused: true })
    }
    // AUTH or SELECT failed. After a SELECT that failed, ioredis would go on in database 0.
    if (this.#state === "opening" && isReply(error)) this.end(endingOf(classify(error, "handshake")))
  }

  #limitOpening(): void {
    systemClock.clearTimeout(this.#opening)
    this.#opening = systemClock.setTimeout(() => {
      this.end({ message: this.#lastError ?? `no answer within ${openingMs / 1000} s${this.silence}` })
    }, openingMs)
  }

  #watch(call: Call): void {
    if (this.#watchdog !== undefined && this.#lookAt <= call.deadline) return
    systemClock.clearTimeout(this.#watchdog)
    this.#lookIn(call.deadline - systemClock.monotonic())
  }

  #lookIn(ms: number): void {
    this.#lookAt = systemClock.monotonic() + ms
    this.#watchdog = systemClock.setTimeout(() => this.#look(), ms)
  }

  /** An overdue answer alone proves nothing: the event loop may have been blocked, or the answer may be on its way. */
  #look(): void {
    this.#watchdog = undefined
    const [oldest] = this.#calls
    if (oldest === undefined) return
    const leftMs = oldest.deadline - systemClock.monotonic()
    const bytesRead = leftMs > 0 ? undefined : this.#client.stream.bytesRead
    if (leftMs > 0) this.#lookIn(leftMs)
    else if (bytesRead === this.#overdueAt) this.end({ message: `no answer to ${oldest.what}` })
    else this.#lookIn(silenceMs)
    this.#overdueAt = bytesRead
  }

  /** Destroys the socket; `disconnect()` alone would wait two seconds for the other side to agree. */
  end(ending: Ending): void {
    if (this.#state === "ended") return
    this.#state = "ended"
    systemClock.clearTimeout(this.#opening)
    systemClock.clearTimeout(this.#watchdog)
    if (this.#client.status !== "end") {
      this.#client.disconnect()
      this.#client.stream?.destroy()
    }
    for (const { what, reject } of this.#calls) {
      reject(new StoreError(`${what} was sent and not answered: ${ending.message}`, "unanswered"))
    }
    this.#calls.clear()
    this.#on.ended(ending)
  }

  /** Resolves when the socket's handle is gone. */
  async closed(): Promise<void> {
    const { stream } = this.#client
    if (!stream || stream.closed) return
    await new Promise((resolve) => stream.once("close", resolve))
  }
}

/** Answers to the probe that say nothing about whether the server can serve us: no permission, another's slot. */
const besideTheQuestion = new Set(["NOPERM", "MOVED", "ASK", "CLUSTERDOWN", "TRYAGAIN"])

/** A certificate that is not to be trusted stays so. */
function isDistrust(error: Error): boolean {
  const { code = "" } = error as NodeJS.ErrnoException
  return /CERT|ERR_TLS|ERR_SSL|UNABLE_TO_(GET|VERIFY)|EPROTO/.test(code)
}

/** Over before long, on this very socket: loading, a busy script, a replica without its master. */
function isPassing(error: unknown): error is ReplyError {
  return error instanceof ReplyError && error.fate === "unavailable" && !error.losesConnection
}

function endingOf(error: unknown): Ending {
  if (!(error instanceof ReplyError)) return { message: describe(error) }
  const { message, code } = error
  const refused = error.fate === "refused" || code === "NOAUTH"
  return refused ? { message, code, refused } : { message, code }
}
