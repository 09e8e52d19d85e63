import type { Link } from "./link.ts"
import type { Stale } from "./replies.ts"
import type { Script } from "./script.ts"
import { StoreError } from "./store.ts"

/** The keys of a call, all in one slot, and what stands before those that the script makes itself. */
type LaneKeys<K extends string> = Readonly<Record<K, string>> & { readonly base: string }
/** Arguments that the lane itself gives; `rejoined`: 1 where another server may have taken over since its last call. */
type Own = "base" | "lane" | "n" | "rejoined"
type Named<A extends string> = Readonly<Record<A, string | number>>

/**
 * A lane carries one writing call at a time. Each call has a number, rising by one; the task's stats keep the last
 * number and its answer, so a call whose answer was lost is sent again until it is answered, and has one effect.
 */
export class Lane {
  private n = 0
  /** The link's `joins` of the last call that was answered. */
  private joined = -1
  readonly name: string

  constructor(
    private readonly link: Link,
    kind: string,
  ) {
    this.name = `${link.instance}:${kind}`
  }

  /**
   * Calls the script, again and again while its answer is missing, until `patience` says that it is enough.
   * Only one call may be under way in a lane, and `args` must be an object of the call's own.
   * @throws StoreError when patience ended (fate "unsent" or "unanswered") or the server refused the call
   */
  async call<K extends string, A extends string, T>(
    script: Script<K, A, T | Stale>,
    keys: LaneKeys<K>,
    args: Named<Exclude<A, Own>>,
    rest: readonly (string | number)[],
    patience: Patience = forever,
  ): Promise<T> {
    this.n++
    return this.repeat(script, keys, args, rest, patience)
  }

  /** Sends a call under the number of the last one: to hear what became of it. */
  async repeat<K extends string, A extends string, T>(
    script: Script<K, A, T | Stale>,
    keys: LaneKeys<K>,
    args: Named<Exclude<A, Own>>,
    rest: readonly (string | number)[],
    patience: Patience = forever,
  ): Promise<T> {
    const { n } = this
    const own = { base: keys.base, lane: this.name, n, rejoined: 0 }
    const values = Object.assign(args, own)
    let sent = false
    for (let tries = 0; ; tries++) {
      try {
        const { joins } = this.link
        values.rejoined = tries > 0 || joins !== this.joined ? 1 : 0
        const reply = await this.link.run(script, keys, values as unknown as Named<A>, rest)
        if (reply !== "stale") {
          this.joined = joins
          return reply
        }
        // Only a lane that two processes share, or a clock of numbers that went back, can be answered so.
        throw new StoreError(`lane ${this.name} was overtaken at call ${n}`, "refused")
      } catch (error) {
        if (!(error instanceof StoreError) || error.fate === "refused") throw error
        sent ||= error.fate === "unanswered"
        if (patience.ended() || this.link.closed) throw sent ? unanswered(error) : error
        await this.link.untilUsable(tries, patience.leftMs?.())
        if (patience.ended() || this.link.closed) throw sent ? unanswered(error) : error
      }
    }
  }
}

function unanswered(error: StoreError): StoreError {
  return error.fate === "unanswered" ? error : new StoreError(error.message, "unanswered", { cause: error })
}

/** How long a caller goes on trying. */
export interface Patience {
  ended(): boolean
  leftMs?(): number
}

const forever: Patience = { ended: () => false }
