import type { Adapter, Reply, ScriptSource, Store } from "../../../src/store/store.ts"
import { StoreError } from "../../../src/store/store.ts"

export const ways = [
  "request lost",
  "reply lost",
  "late, before the next call",
  "late, after the next call",
] as const
/** What becomes of one call: its sender hears nothing, and the server hears it in time, late, or never. */
export type Way = (typeof ways)[number]

type Args = readonly (string | number)[]
type Sent = readonly [script: ScriptSource, keys: readonly string[], args: Args]

/** One call that was struck, or will be. */
export interface Strike {
  /** Which call: the first that fits. */
  readonly fits: (script: string, args: Args) => boolean
  readonly way: Way
  /** A late call that comes after the next one comes behind its own repetition, or behind its lane's next new call. */
  readonly behindSuccessor: boolean
}

/** What is known of a strike that landed. */
export interface Landed {
  readonly way: Way
  readonly script: string
  /** The struck call's own answer, where it reached the server. */
  reply?: Reply
  /** How often the struck call itself reached the server: 0 where it is lost, else 1. */
  reached: number
  /** How often its lane sent the same call again. */
  repeated: number
  /** A call with a higher number of its lane reached the server before it. */
  overtaken: boolean
  /** Where it came late: whether the server had heard from its lane since. */
  readonly late?: "before" | "after"
}

interface Held extends Landed {
  readonly sent: Sent
  readonly behindSuccessor: boolean
}

/**
 * A network between an app and its store that strikes one call: its sender is told that no answer came, and nothing else
 * is touched. Late calls are delivered word for word, by another connection, exactly before or after the lane's next call.
 */
export class Mischief {
  readonly landed: Landed[] = []
  private readonly strikes: Strike[] = []
  private readonly watched: Held[] = []
  private wire: Store | undefined

  constructor(private readonly inner: Adapter) {}

  /** The adapter for apps whose calls may be struck. */
  get adapter(): Adapter {
    return {
      ...this.inner,
      open: (instance, listeners, access) => {
        const store = this.inner.open(instance, listeners, access)
        const run = store.run.bind(store)
        store.run = (script, keys, args) => this.run([script, keys, args], run)
        return store
      },
    }
  }

  strike(strike: Strike): void {
    this.strikes.push(strike)
  }

  /** Delivers what is still under way. */
  async calm(): Promise<void> {
    for (const held of this.watched) if (held.late === "after" && held.reached === 0) await this.deliver(held)
  }

  async close(): Promise<void> {
    await this.wire?.close()
  }

  private async run(sent: Sent, run: Store["run"]): Promise<Reply> {
    const mine = this.watched.filter(({ sent: earlier }) => laneOf(earlier) === laneOf(sent))
    for (const held of mine) {
      if (numberOf(held.sent) === numberOf(sent)) held.repeated++
      if (held.late === "before" && held.reached === 0) await this.deliver(held)
    }
    const index = this.strikes.findIndex(({ fits }) => fits(sent[0].name, sent[2]))
    if (index >= 0) return this.hit(sent, this.strikes.splice(index, 1)[0]!, run)
    const reply = await run(...sent)
    for (const held of mine) {
      if (held.reached === 0 && numberOf(sent) > numberOf(held.sent)) held.overtaken = true
      const isDue = !held.behindSuccessor || numberOf(sent) > numberOf(held.sent)
      if (held.late === "after" && held.reached === 0 && isDue) await this.deliver(held)
    }
    return reply
  }

  private async hit(sent: Sent, { way, behindSuccessor }: Strike, run: Store["run"]): Promise<never> {
    const late = way.startsWith("late")
      ? { late: way.endsWith("before the next call") ? "before" : "after" }
      : {}
    const held = {
      way,
      script: sent[0].name,
      sent,
      behindSuccessor,
      reached: 0,
      repeated: 0,
      overtaken: false,
      ...late,
    } as Held
    this.watched.push(held)
    this.landed.push(held)
    if (way === "reply lost") {
      held.reply = await run(...sent)
      held.reached++
    }
    throw new StoreError(`no answer came: ${way}`, "unanswered")
  }

  private async deliver(held: Held): Promise<void> {
    held.reached++
    if (!this.wire) {
      this.wire = this.inner.open("wire", { lost() {}, back() {}, message() {} })
      await this.wire.connect()
    }
    held.reply = await this.wire.run(...held.sent)
  }
}

/** Every writing script's first arguments are base, lane, n; those of several tasks begin with the first one's. */
function laneOf([, , args]: Sent): string {
  return `${args[0]} ${args[1]}`
}

function numberOf([, , args]: Sent): number {
  return Number(args[2])
}
